{{/* What is read of every namespace that is ours to read. */}}
{{- define "plenipo.readRules" -}}
- apiGroups: [getambassador.io]
  resources:
    - authservices
    - consulresolvers
    - devportals
    - hosts
    - kubernetesendpointresolvers
    - kubernetesserviceresolvers
    - listeners
    - logservices
    - mappings
    - modules
    - ratelimitservices
    - tcpmappings
    - tlscontexts
    - tracingservices
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [elbv2.k8s.aws]
  resources: [targetgroupbindings]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch]
{{- if .Values.rbac.istio }}
{{ include "plenipo.istioRules" . }}
{{- end }}
{{- if not .Values.rbac.secretNames }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- end }}
{{- if .Values.status }}
{{ include "plenipo.statusRules" . }}
{{- end }}
{{- with .Values.rbac.extraRules }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "plenipo.istioRules" -}}
- apiGroups: [networking.istio.io]
  resources:
    - destinationrules
    - envoyfilters
    - gateways
    - proxyconfigs
    - serviceentries
    - sidecars
    - virtualservices
    - workloadentries
    - workloadgroups
  verbs: [get, list, watch]
- apiGroups: [security.istio.io]
  resources: [authorizationpolicies, peerauthentications, requestauthentications]
  verbs: [get, list, watch]
- apiGroups: [telemetry.istio.io]
  resources: [telemetries]
  verbs: [get, list, watch]
- apiGroups: [extensions.istio.io]
  resources: [wasmplugins]
  verbs: [get, list, watch]
- apiGroups: [install.istio.io]
  resources: [istiooperators]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch]
{{- end -}}

{{/* What is written: status, and Events about refusals. Never the objects themselves. */}}
{{- define "plenipo.statusRules" -}}
- apiGroups: [getambassador.io]
  resources:
    - authservices/status
    - hosts/status
    - listeners/status
    - mappings/status
    - modules/status
    - tcpmappings/status
    - tlscontexts/status
  verbs: [patch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* What is in no namespace. */}}
{{- define "plenipo.clusterRules" -}}
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [get, list, watch]
- apiGroups: [elbv2.k8s.aws]
  resources: [ingressclassparams]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [namespaces{{ if .Values.rbac.istio }}, nodes{{ end }}]
  verbs: [get, list, watch]
{{- end -}}

{{- define "plenipo.subject" -}}
- kind: ServiceAccount
  name: {{ include "plenipo.serviceAccountName" . }}
  namespace: {{ include "plenipo.namespace" . }}
{{- end -}}
