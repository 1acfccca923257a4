{{- define "upscale.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of a component; (list . "gateway") */}}
{{- define "upscale.selector" -}}
app.kubernetes.io/name: {{ default (index . 0).Chart.Name (index . 0).Values.nameOverride }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "upscale.labels" -}}
{{ include "upscale.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* (list . .Values.gateway.image) */}}
{{- define "upscale.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest | quote -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default (index . 0).Chart.AppVersion $image.tag) | quote -}}
{{- end -}}
{{- end -}}

{{- define "upscale.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "upscale.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "upscale.claim" -}}
{{- default (printf "%s-models" (include "upscale.fullname" .)) .Values.models.claim.existing -}}
{{- end -}}

{{- define "upscale.secret" -}}
{{- default (include "upscale.fullname" .) .Values.secret.existing -}}
{{- end -}}

{{/* env entries of those of some names that the Secret has; none of them may be missing.
     (list . (list "AUTH_TOKEN" ...)) */}}
{{- define "upscale.secretEnv" -}}
{{- $root := index . 0 -}}
{{- $has := keys $root.Values.secret.values -}}
{{- if $root.Values.secret.existing -}}{{- $has = $root.Values.secret.keys -}}{{- end -}}
{{- range $key := index . 1 }}
{{- if has $key $has }}
- name: {{ $key }}
  valueFrom:
    secretKeyRef:
      name: {{ include "upscale.secret" $root }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "upscale.awsEnv" -}}
{{- with .Values.aws.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.aws.endpointUrl }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- include "upscale.secretEnv" (list . (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN")) }}
{{- end -}}

{{/* Helm reads every number as a float and would write 10000000 as 1e+07. */}}
{{- define "upscale.plain" -}}
{{- if and (kindIs "float64" .) (eq (float64 (int64 .)) .) -}}{{- int64 . -}}{{- else -}}{{- . -}}{{- end -}}
{{- end -}}

{{- define "upscale.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "upscale.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What every pod has: account, security, pull secrets; (list . "account's name") */}}
{{- define "upscale.pod" -}}
serviceAccountName: {{ index . 1 }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "upscale.podSecurity" . | nindent 2 }}
{{- with (index . 0).Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where pods of a component go; (list . "gateway" .Values.gateway) */}}
{{- define "upscale.placement" -}}
{{- $values := index . 2 -}}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $values.topologySpread.enabled }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ $values.topologySpread.topologyKey }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "upscale.selector" (list (index . 0) (index . 1)) | nindent 8 }}
    # Of one ReplicaSet: in a rollout the old pods, which go, do not count.
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/* Requests may go on for so long after a pod's end was announced, seconds. */}}
{{- define "upscale.requestSeconds" -}}
{{- .Values.gateway.settings.REQUEST_TIMEOUT_S | ceil | int -}}
{{- end -}}

{{/* How long a proxy before the gateway waits for it, seconds. */}}
{{- define "upscale.proxySeconds" -}}
{{- add (include "upscale.requestSeconds" .) (.Values.gateway.settings.UPLOAD_TIMEOUT_S | ceil | int) 10 -}}
{{- end -}}

{{/* The longest that Triton is drained before SIGTERM: the longest request, and 45 s without any. */}}
{{- define "upscale.drainSeconds" -}}
{{- add (include "upscale.requestSeconds" .) 45 -}}
{{- end -}}

{{/* From the start of a Triton pod to its first picture at the latest, seconds. */}}
{{- define "upscale.loadSeconds" -}}
{{- add .Values.triton.startupSeconds (ternary .Values.models.export.deadlineSeconds 0 (eq .Values.models.source "export")) -}}
{{- end -}}

{{/* The queries that autoscaling and alerts share; `namespace` and `service` come from the
     ServiceMonitors. (list . "gateway") */}}
{{- define "upscale.series" -}}
namespace="{{ (index . 0).Release.Namespace }}",service="{{ include "upscale.fullname" (index . 0) }}-{{ index . 1 }}"
{{- end -}}

{{/* With the pod's GPU: (list . .Values.triton.resources) */}}
{{- define "upscale.gpuResources" -}}
{{- $root := index . 0 -}}
{{- $resources := deepCopy (index . 1) -}}
{{- if gt (int $root.Values.triton.gpu.count) 0 -}}
{{- $limits := merge (dict $root.Values.triton.gpu.resource (int $root.Values.triton.gpu.count)) (default dict $resources.limits) -}}
{{- $resources = set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Egress to DNS, wherever the cluster has it. */}}
{{- define "upscale.dnsEgress" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{/* Port of the object store: that of aws.endpointUrl, else its scheme's. */}}
{{- define "upscale.storePort" -}}
{{- $url := urlParse (default "https://aws" .Values.aws.endpointUrl) -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (ternary "80" "443" (eq $url.scheme "http")) $port -}}
{{- end -}}
