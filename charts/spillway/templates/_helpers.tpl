{{/* The Service's name is part of the certificate and of what sidecars are told: one release, one name. */}}
{{- define "spillway.selector" -}}
app.kubernetes.io/name: spillway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "spillway.labels" -}}
{{ include "spillway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "spillway.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "spillway.sidecarImage" -}}
{{- with .Values.sidecar.image -}}
{{ .repository }}:{{ .tag | default $.Values.image.tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Where no pod is injected: an operator that has to inject itself could never start. */}}
{{- define "spillway.excludedNamespaces" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toJson -}}
{{- end -}}

{{/* Where provider keys are read. With no namespace at all the operator would ask for all of them. */}}
{{- define "spillway.secretNamespaces" -}}
{{- concat (list .Release.Namespace) .Values.secrets.namespaces | uniq | toJson -}}
{{- end -}}
