{{- define "plenipo.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "plenipo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "plenipo.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "plenipo.serviceName" -}}
{{- default (include "plenipo.fullname" .) .Values.service.nameOverride -}}
{{- end -}}

{{- define "plenipo.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "plenipo.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Cluster-wide names have the namespace in them: two releases of one name do not meet. */}}
{{- define "plenipo.rbacName" -}}
{{- default (printf "%s:%s" (include "plenipo.namespace" .) (include "plenipo.fullname" .)) .Values.rbac.nameOverride -}}
{{- end -}}

{{/* The Lease that the replicas of one AMBASSADOR_ID share, named as the program does it. */}}
{{- define "plenipo.leaseName" -}}
{{- $id := .Values.ambassadorId | toString -}}
{{- if and (le (len $id) 48) (regexMatch "^[a-z0-9-]*[a-z0-9]$" $id) -}}
{{- printf "plenipo-%s" $id -}}
{{- else -}}
{{- printf "plenipo-%s" ($id | sha256sum | trunc 16) -}}
{{- end -}}
{{- end -}}

{{- define "plenipo.image" -}}
{{- $image := .Values.image -}}
{{- $registry := default $image.registry .Values.global.imageRegistry -}}
{{- if $registry }}{{ trimSuffix "/" $registry }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag | toString }}{{ end -}}
{{- end -}}

{{- define "plenipo.imagePullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.imagePullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name") }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "plenipo.selectorLabels" -}}
app.kubernetes.io/name: {{ include "plenipo.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "plenipo.labels" -}}
{{ include "plenipo.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* name, namespace, labels and annotations of an object: dict root, name, namespace, labels, annotations */}}
{{- define "plenipo.metadata" -}}
name: {{ .name }}
{{- if not .cluster }}
namespace: {{ default (include "plenipo.namespace" .root) .namespace }}
{{- end }}
labels:
  {{- merge dict (default dict .labels) (include "plenipo.labels" .root | fromYaml) | toYaml | nindent 2 }}
{{- with merge dict (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "plenipo.isDaemonSet" -}}
{{- if or .Values.daemonSet (eq .Values.kind "DaemonSet") }}yes{{ end -}}
{{- end -}}

{{/* Are only some namespaces read? */}}
{{- define "plenipo.isScoped" -}}
{{- if or .Values.scope.singleNamespace .Values.scope.namespaces }}yes{{ end -}}
{{- end -}}

{{/* Those namespaces, as a JSON list. */}}
{{- define "plenipo.namespaces" -}}
{{- $own := include "plenipo.namespace" . -}}
{{- if .Values.scope.singleNamespace -}}
{{- list $own | toJson -}}
{{- else -}}
{{- append .Values.scope.namespaces $own | uniq | toJson -}}
{{- end -}}
{{- end -}}

{{/* Labels by which the Service finds the pods. */}}
{{- define "plenipo.serviceSelector" -}}
{{- $own := include "plenipo.selectorLabels" . | fromYaml -}}
{{- merge dict .Values.istioLabels (default $own .Values.service.selector) | toYaml -}}
{{- end -}}

{{- define "plenipo.minDrain" -}}
{{- if kindIs "invalid" .Values.drain.minSeconds -}}
{{- eq .Values.service.preset "nlb-ip" | ternary 60 10 -}}
{{- else -}}
{{- .Values.drain.minSeconds | int -}}
{{- end -}}
{{- end -}}

{{- define "plenipo.gracePeriod" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- add .Values.drain.maxSeconds 15 -}}
{{- else -}}
{{- .Values.terminationGracePeriodSeconds | int -}}
{{- end -}}
{{- end -}}

{{/* The lowest port that is bound in the container. */}}
{{- define "plenipo.lowestPort" -}}
{{- $lowest := .Values.admin.port | int -}}
{{- range .Values.service.ports -}}
{{- $lowest = min $lowest (default .port .targetPort | int) -}}
{{- end -}}
{{- $lowest -}}
{{- end -}}
