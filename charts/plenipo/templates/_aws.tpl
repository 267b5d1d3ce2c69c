{{/* What each preset says to the AWS load balancer controllers, as annotations. */}}
{{- define "plenipo.awsAnnotations" -}}
{{- $prefix := "service.beta.kubernetes.io/aws-load-balancer-" -}}
{{- $said := dict -}}
{{- $service := .Values.service -}}
{{- if or (eq $service.preset "nlb") (eq $service.preset "nlb-ip") -}}
{{- $said = dict "type" "external" "scheme" $service.scheme "attributes" "load_balancing.cross_zone.enabled=true" -}}
{{- $_ := set $said "nlb-target-type" (eq $service.preset "nlb-ip" | ternary "ip" "instance") -}}
{{- if $service.proxyProtocol -}}
{{- $_ := set $said "proxy-protocol" "*" -}}
{{- end -}}
{{- if eq $service.preset "nlb-ip" -}}
{{- /* Health checks have PROXY headers, too, and the admin port takes none. */ -}}
{{- if not $service.proxyProtocol -}}
{{- $_ := set $said "healthcheck-protocol" "http" -}}
{{- $_ := set $said "healthcheck-port" (.Values.admin.port | toString) -}}
{{- $_ := set $said "healthcheck-path" "/ambassador/v0/check_ready" -}}
{{- end -}}
{{- $_ := set $said "healthcheck-interval" "10" -}}
{{- $_ := set $said "healthcheck-healthy-threshold" "2" -}}
{{- $_ := set $said "healthcheck-unhealthy-threshold" "2" -}}
{{- $_ := set $said "target-group-attributes" (printf "preserve_client_ip.enabled=%t,deregistration_delay.timeout_seconds=%d" (not $service.proxyProtocol) (.Values.drain.maxSeconds | int)) -}}
{{- end -}}
{{- else if eq $service.preset "classic" -}}
{{- $said = dict "cross-zone-load-balancing-enabled" "true" "connection-draining-enabled" "true" "connection-draining-timeout" (.Values.drain.maxSeconds | toString) "connection-idle-timeout" "350" -}}
{{- $_ := set $said "internal" (eq $service.scheme "internal" | toString) -}}
{{- if $service.proxyProtocol -}}
{{- $_ := set $said "proxy-protocol" "*" -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := $said }}
{{ $prefix }}{{ $name }}: {{ $value | quote }}
{{- end -}}
{{- end -}}
