{{- define "lanekeeper.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Release and chart, or the release alone when it says the chart's name already. With room for "-operator". */}}
{{- define "lanekeeper.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "lanekeeper.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "lanekeeper.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Of objects that have no namespace, or another than the release's: two releases never share one. */}}
{{- define "lanekeeper.globalName" -}}
lanekeeper:{{ .Release.Namespace }}:{{ include "lanekeeper.fullname" . }}
{{- end }}

{{/* (list . component): what selects the pods. Never changes in an upgrade. */}}
{{- define "lanekeeper.selector" -}}
app.kubernetes.io/name: {{ include "lanekeeper.name" (first .) }}
app.kubernetes.io/instance: {{ (first .).Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/* (list . component) */}}
{{- define "lanekeeper.labels" -}}
{{ include "lanekeeper.selector" . }}
app.kubernetes.io/version: {{ (first .).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (first .).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (first .).Chart.Name (first .).Chart.Version | replace "+" "_" }}
{{- end }}

{{/* (list . image) */}}
{{- define "lanekeeper.image" -}}
{{- $image := last . -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (first .).Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* (list . component) */}}
{{- define "lanekeeper.serviceAccount" -}}
{{- $component := last . -}}
{{- $account := (get (first .).Values $component).serviceAccount -}}
{{- $account.name | default (printf "%s-%s" (include "lanekeeper.fullname" (first .)) $component) -}}
{{- end }}

{{- define "lanekeeper.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "lanekeeper.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "lanekeeper.natsUrl" -}}
{{- if .Values.nats.url -}}
{{ .Values.nats.url }}
{{- else -}}
nats://{{ include "lanekeeper.fullname" . }}-nats.{{ .Release.Namespace }}.svc:4222
{{- end -}}
{{- end }}

{{/* The variable LANEKEEPER_NATS_URL. */}}
{{- define "lanekeeper.natsEnv" -}}
- name: LANEKEEPER_NATS_URL
{{- with .Values.nats.urlSecret }}
{{- if .name }}
  valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .key }}}}
{{- else }}
  value: {{ include "lanekeeper.natsUrl" $ | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Variables that name files of nats.credentialsSecret and nats.tls, where lanekeeper.natsVolume puts them. */}}
{{- define "lanekeeper.natsFileEnv" -}}
{{- if .Values.nats.credentialsSecret.name }}
- {name: LANEKEEPER_NATS_CREDENTIALS, value: /etc/lanekeeper/nats/credentials}
{{- end }}
{{- if .Values.nats.tls.caSecret.name }}
- {name: LANEKEEPER_NATS_TLS_CA, value: /etc/lanekeeper/nats/ca.crt}
{{- end }}
{{- if .Values.nats.tls.clientCertificateSecret }}
- {name: LANEKEEPER_NATS_TLS_CERT, value: /etc/lanekeeper/nats/tls.crt}
- {name: LANEKEEPER_NATS_TLS_KEY, value: /etc/lanekeeper/nats/tls.key}
{{- end }}
{{- end }}

{{/* One volume, so that a certificate and its key change together; empty when there is nothing to put there. */}}
{{- define "lanekeeper.natsVolume" -}}
{{- with .Values.nats }}
{{- if or .credentialsSecret.name .tls.caSecret.name .tls.clientCertificateSecret }}
- name: nats
  projected:
    defaultMode: 0440
    sources:
    {{- with .credentialsSecret }}
    {{- if .name }}
    - secret: {name: {{ .name }}, items: [{key: {{ .key }}, path: credentials}]}
    {{- end }}
    {{- end }}
    {{- with .tls.caSecret }}
    {{- if .name }}
    - secret: {name: {{ .name }}, items: [{key: {{ .key }}, path: ca.crt}]}
    {{- end }}
    {{- end }}
    {{- with .tls.clientCertificateSecret }}
    - secret: {name: {{ . }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Role or ClusterRole of the operator and of people: by watchNamespace. */}}
{{- define "lanekeeper.roleKind" -}}
{{- if .Values.watchNamespace }}Role{{ else }}ClusterRole{{ end }}
{{- end }}

{{/* (list . component): not all on one node, where there are several. */}}
{{- define "lanekeeper.spread" }}
topologySpreadConstraints:
- topologyKey: kubernetes.io/hostname
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "lanekeeper.selector" . | nindent 6 }}
{{- end }}

{{- define "lanekeeper.podPlacement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
