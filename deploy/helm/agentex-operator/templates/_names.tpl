{{- define "agentex-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "agentex-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "agentex-operator.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "agentex-operator.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "agentex-operator.serviceAccount" -}}
{{- if include "agentex-operator.on" (.Values.serviceAccount).create -}}
{{- default (include "agentex-operator.fullname" .) (.Values.serviceAccount).name -}}
{{- else -}}
{{- required "serviceAccount.create is false, so serviceAccount.name must name one that exists" (.Values.serviceAccount).name -}}
{{- end -}}
{{- end -}}

{{- define "agentex-operator.selector" -}}
app.kubernetes.io/name: {{ include "agentex-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "agentex-operator.ownLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "agentex-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- end -}}

{{/* The chart's own labels, and those of the values beside them: a label of the selector cannot be another one. */}}
{{- define "agentex-operator.labels" -}}
{{- $own := include "agentex-operator.ownLabels" . | fromYaml -}}
{{- toYaml (merge (dict) $own (default (dict) .Values.commonLabels)) -}}
{{- end -}}

{{- define "agentex-operator.podLabels" -}}
{{- $own := include "agentex-operator.ownLabels" . | fromYaml -}}
{{- toYaml (merge (dict) $own (default (dict) .Values.podLabels) (default (dict) .Values.commonLabels)) -}}
{{- end -}}

{{/* Whether a value is on that is on unless it says false: it is missing in the values of an older release. */}}
{{- define "agentex-operator.on" -}}
{{- if ne (toJson .) "false" }}true{{ end -}}
{{- end -}}

{{- define "agentex-operator.image" -}}
{{- $repository := default "agentex-operator" (.Values.image).repository -}}
{{- with (.Values.image).registry }}{{ $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}{{ end -}}
{{- if (.Values.image).digest -}}
{{- printf "%s@%s" $repository (.Values.image).digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion (.Values.image).tag) -}}
{{- end -}}
{{- end -}}

{{/* The volume with the private CA, from a ConfigMap or a Secret; a change of it reaches the file without a restart. */}}
{{- define "agentex-operator.caVolume" -}}
{{- if and (.Values.caBundle).configMap (.Values.caBundle).secret }}
{{- fail "caBundle: set configMap or secret, not both" }}
{{- end }}
{{- with (.Values.caBundle).configMap }}
- name: ca
  configMap:
    name: {{ . | quote }}
{{- end }}
{{- with (.Values.caBundle).secret }}
- name: ca
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "agentex-operator.healthPort" -}}
{{- default 8080 (.Values.operator).healthPort -}}
{{- end -}}
