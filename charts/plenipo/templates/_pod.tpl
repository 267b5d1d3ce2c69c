{{/* The pod, the same in a Deployment and in a DaemonSet. */}}
{{- define "plenipo.pod" -}}
metadata:
  labels:
    {{- include "plenipo.podLabels" . | nindent 4 }}
  {{- with merge dict .Values.podAnnotations .Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "plenipo.serviceAccountName" . }}
  automountServiceAccountToken: true
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "plenipo.gracePeriod" . }}
  {{- with include "plenipo.imagePullSecrets" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "plenipo.podSecurityContext" . }}
  securityContext:
    {{- . | nindent 4 }}
  {{- end }}
  {{- if .Values.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with default (ternary "ClusterFirstWithHostNet" "" .Values.hostNetwork) .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- range $field := list "priorityClassName" "runtimeClassName" "schedulerName" }}
  {{- with get $.Values $field }}
  {{ $field }}: {{ . }}
  {{- end }}
  {{- end }}
  {{- range $field := list "dnsConfig" "hostAliases" "nodeSelector" "tolerations" "affinity" "initContainers" }}
  {{- with get $.Values $field }}
  {{ $field }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ merge dict . (include "plenipo.spreadSelector" $ | fromYaml) | toYaml | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  containers:
    - {{ include "plenipo.container" . | nindent 6 | trim }}
    {{- with .Values.sidecarContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "plenipo.volumes" . | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Without the chart's version: what changes only that restarts no pod. */}}
{{- define "plenipo.podLabels" -}}
{{- $own := include "plenipo.selectorLabels" . | fromYaml -}}
{{- range $key, $value := include "plenipo.serviceSelector" . | fromYaml -}}
{{- if and (hasKey $own $key) (ne (get $own $key) $value) -}}
{{- fail (printf "service.selector says %s: %s, but the pods have %s: set nameOverride, or name the release, so that they agree" $key $value (get $own $key)) -}}
{{- end -}}
{{- end -}}
{{- $all := merge dict $own (include "plenipo.serviceSelector" . | fromYaml) .Values.podLabels .Values.commonLabels -}}
{{- toYaml $all -}}
{{- end -}}

{{- define "plenipo.spreadSelector" -}}
labelSelector:
  matchLabels:
    {{- include "plenipo.selectorLabels" . | nindent 4 }}
{{- if not (include "plenipo.isDaemonSet" .) }}
matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/* An unprivileged process binds low ports because the pod's own network allows it. */}}
{{- define "plenipo.podSecurityContext" -}}
{{- $context := deepCopy .Values.podSecurityContext -}}
{{- $lowest := include "plenipo.lowestPort" . -}}
{{- if and (lt (int $lowest) 1024) (not .Values.hostNetwork) -}}
{{- $sysctl := dict "name" "net.ipv4.ip_unprivileged_port_start" "value" $lowest -}}
{{- $_ := set $context "sysctls" (append (default list $context.sysctls) $sysctl) -}}
{{- end -}}
{{- if $context }}{{ toYaml $context }}{{ end -}}
{{- end -}}

{{- define "plenipo.securityContext" -}}
{{- $context := deepCopy .Values.securityContext -}}
{{- if lt (include "plenipo.lowestPort" . | int) 1024 -}}
{{- $capabilities := default dict $context.capabilities -}}
{{- $add := append (default list $capabilities.add) "NET_BIND_SERVICE" | uniq -}}
{{- $_ := set $context "capabilities" (merge (dict "add" $add) $capabilities) -}}
{{- end -}}
{{- if $context }}{{ toYaml $context }}{{ end -}}
{{- end -}}

{{- define "plenipo.container" -}}
name: plenipo
image: {{ include "plenipo.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  {{- include "plenipo.arguments" . | nindent 2 }}
ports:
  {{- $seen := dict }}
  {{- range .Values.service.ports }}
  {{- $target := default .port .targetPort | int }}
  {{- $key := printf "%d/%s" $target (default "TCP" .protocol) }}
  {{- if not (hasKey $seen $key) }}
  {{- $_ := set $seen $key true }}
  - name: {{ .name }}
    containerPort: {{ $target }}
    protocol: {{ default "TCP" .protocol }}
    {{- with .hostPort }}
    hostPort: {{ int . }}
    {{- end }}
  {{- end }}
  {{- end }}
  - name: admin
    containerPort: {{ .Values.admin.port }}
    protocol: TCP
env:
  {{- include "plenipo.environment" . | trim | nindent 2 }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
startupProbe:
  {{- merge dict .Values.startupProbe (dict "httpGet" (dict "path" "/ambassador/v0/check_alive" "port" "admin")) | toYaml | nindent 2 }}
livenessProbe:
  {{- merge dict .Values.livenessProbe (dict "httpGet" (dict "path" "/ambassador/v0/check_alive" "port" "admin")) | toYaml | nindent 2 }}
readinessProbe:
  {{- merge dict .Values.readinessProbe (dict "httpGet" (dict "path" "/ambassador/v0/check_ready" "port" "admin")) | toYaml | nindent 2 }}
{{- with .Values.lifecycle }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "plenipo.securityContext" . }}
securityContext:
  {{- . | nindent 2 }}
{{- end }}
{{- with include "plenipo.volumeMounts" . | trim }}
volumeMounts:
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "plenipo.arguments" -}}
- run
- --kubernetes
{{- if or .Values.service.create .Values.service.nameOverride }}
- --publish-service=$(POD_NAMESPACE)/{{ include "plenipo.serviceName" . }}
{{- end }}
{{- if not .Values.status }}
- --no-status
{{- end }}
{{- if .Values.scope.singleNamespace }}
- --single-namespace
{{- else if .Values.scope.namespaces }}
{{- range include "plenipo.namespaces" . | fromJsonArray }}
- --watch-namespace={{ . }}
{{- end }}
{{- end }}
{{- $address := contains ":" .Values.bindAddress | ternary (printf "[%s]" .Values.bindAddress) .Values.bindAddress }}
- {{ printf "--bind=%s" .Values.bindAddress | quote }}
- {{ printf "--admin=%s:%d" $address (int .Values.admin.port) | quote }}
{{- if .Values.admin.tokenSecret.name }}
- --admin-token-file=/var/run/plenipo/admin/token
{{- end }}
- --min-drain={{ include "plenipo.minDrain" . }}s
- --max-drain={{ .Values.drain.maxSeconds }}s
- {{ printf "--log=%s" .Values.log.level | quote }}
- --log-format={{ .Values.log.format }}
{{- with .Values.workers }}
- --workers={{ . }}
{{- end }}
{{- if .Values.istioLabels }}
- --istio-namespace=$(POD_NAMESPACE)
{{- range $key, $value := .Values.istioLabels }}
- {{ printf "--istio-label=%s=%s" $key $value | quote }}
{{- end }}
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | toString | quote }}
{{- end }}
{{- end -}}

{{/* Ours, but for those that somebody sets otherwise: a name may be there once. */}}
{{- define "plenipo.environment" -}}
{{- $taken := deepCopy .Values.env -}}
{{- range .Values.envRaw }}{{ $_ := set $taken .name true }}{{ end -}}
{{- range $name, $path := dict "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" "POD_IP" "status.podIP" "HOST_IP" "status.hostIP" "NODE_NAME" "spec.nodeName" "AMBASSADOR_NAMESPACE" "metadata.namespace" }}
{{- if not (hasKey $taken $name) }}
- name: {{ $name }}
  valueFrom:
    fieldRef:
      fieldPath: {{ $path }}
{{- end }}
{{- end }}
{{- if not (hasKey $taken "AMBASSADOR_ID") }}
- name: AMBASSADOR_ID
  value: {{ .Values.ambassadorId | quote }}
{{- end }}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- with .Values.envRaw }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "plenipo.volumes" -}}
{{- with .Values.admin.tokenSecret }}
{{- if .name }}
- name: admin-token
  secret:
    secretName: {{ .name }}
    items:
      - key: {{ .key }}
        path: token
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "plenipo.volumeMounts" -}}
{{- if .Values.admin.tokenSecret.name }}
- name: admin-token
  mountPath: /var/run/plenipo/admin
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
