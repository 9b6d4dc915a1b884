{{/* The objects of a shipped file, one after the other, as the values want them.
     Takes: root, file. */}}
{{- define "cni-upgrade.objects" -}}
{{- $root := .root -}}
{{- $file := .file -}}
{{- range $text := regexSplit "(?m)^---\\s*$" ($root.Files.Get $file) -1 }}
{{- $object := fromYaml $text }}
{{- if hasKey $object "Error" }}{{ fail (printf "%s: %s" $file $object.Error) }}{{ end }}
{{- if $object }}
{{- $_ := set $object.metadata "annotations" (merge (include "cni-upgrade.annotations" $root | fromYaml) ($object.metadata.annotations | default dict)) }}
{{- if eq $object.kind "CustomResourceDefinition" }}
{{- if $root.Values.crds.keep }}{{ $_ := set $object.metadata.annotations "helm.sh/resource-policy" "keep" }}{{ end }}
{{- else }}
{{- $_ := set $object.metadata "labels" (merge (include "cni-upgrade.labels" $root | fromYaml) ($object.metadata.labels | default dict)) }}
{{- end }}
{{- include "cni-upgrade.adapt" (dict "root" $root "object" $object) }}
{{- if not (and (eq $object.kind "PodDisruptionBudget") (not $root.Values.podDisruptionBudget)) }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "cni-upgrade.labels" -}}
app.kubernetes.io/part-of: cni-upgrade-operator
{{- end -}}

{{/* Flux and Argo CD render charts too, and prune what they rendered: manifests/prune. */}}
{{- define "cni-upgrade.annotations" -}}
{{ toYaml (.Files.Get "files/prune.yaml" | fromYaml).annotations }}
{{- end -}}

{{/* Changes an object in place, by the values. */}}
{{- define "cni-upgrade.adapt" -}}
{{- $values := .root.Values -}}
{{- $object := .object -}}
{{- $spec := $object.spec | default dict -}}
{{- if eq $object.kind "Deployment" }}
{{- $_ := set $spec "replicas" $values.replicas }}
{{- $_ := set $spec.template.metadata "labels" (merge (include "cni-upgrade.labels" .root | fromYaml) $spec.template.metadata.labels) }}
{{- $container := index $spec.template.spec.containers 0 }}
{{- $_ := set $container "image" $values.images.operator }}
{{- if ne $values.logFormat "text" }}
{{- $_ := set $container "args" (list (printf "--log-format=%s" $values.logFormat)) }}
{{- end }}
{{- else if and (eq $object.kind "ConfigMap") (hasKey $object.data "agentImage") }}
{{- $_ := set $object.data "agentImage" $values.images.agent }}
{{- $more := include "cni-upgrade.config" .root | fromYaml }}
{{- if $more }}
{{- $_ := set $object.data "config.yaml" (mergeOverwrite (index $object.data "config.yaml" | fromYaml) $more | toYaml) }}
{{- end }}
{{- else if and (eq $object.kind "ValidatingAdmissionPolicy") (eq $object.metadata.name "cni-upgrade-agent-pods") }}
{{- range $variable := $spec.variables }}
{{- if eq $variable.name "agentImage" }}
{{- $_ := set $variable "expression" (printf "'%s'" $values.images.agent) }}
{{- else if and (has $variable.name (list "writable" "readable")) (get $values.folders $variable.name) }}
{{- $folders := get $values.folders $variable.name | join "', '" }}
{{- $_ := set $variable "expression" (printf "%s + ['%s']" $variable.expression $folders) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the values say over the shipped config.yaml; nothing where they say nothing. */}}
{{- define "cni-upgrade.config" -}}
{{- $more := deepCopy .Values.config }}
{{- if .Values.presets }}{{ $_ := set $more "presets" .Values.presets }}{{ end }}
{{- if .Values.medik8sLeases }}{{ $_ := set $more "leaseNamespace" "medik8s-leases" }}{{ end }}
{{- toYaml $more }}
{{- end -}}
