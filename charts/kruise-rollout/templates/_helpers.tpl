{{/* Labels of every object. */}}
{{- define "rollout.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The Service the API server calls to have objects converted, at a path. */}}
{{- define "rollout.service" -}}
name: kruise-rollout-webhook-service
namespace: {{ .Values.installation.namespace }}
port: {{ .Values.service.port }}
{{- end }}

{{/* The Service the API server calls for admission, at a path. */}}
{{- define "rollout.admission" -}}
name: kruise-rollout-admission-service
namespace: {{ .Values.installation.namespace }}
port: {{ .Values.service.port }}
{{- end }}

{{/* A CEL expression: did this entry of metadata.annotations or metadata.labels change? */}}
{{- define "rollout.changed" -}}
(has(object.metadata.{{ .in }}) && "{{ .key }}" in object.metadata.{{ .in }} ? object.metadata.{{ .in }}["{{ .key }}"] : "") !=
(has(oldObject.metadata.{{ .in }}) && "{{ .key }}" in oldObject.metadata.{{ .in }} ? oldObject.metadata.{{ .in }}["{{ .key }}"] : "")
{{- end }}
