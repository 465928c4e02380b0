// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// environment is what the container finds in its environment, as far as the pod itself shows: values, references to its own
// fields, and $(NAME) of an earlier variable. References to ConfigMaps, Secrets and resources are left out.
func environment(pod *corev1.Pod, c corev1.Container, podIP, hostIP string) map[string]string {
	env := map[string]string{"HOSTNAME": pod.Name}
	for _, v := range c.Env {
		switch {
		case v.ValueFrom == nil:
			env[v.Name] = expand(v.Value, env)
		case v.ValueFrom.FieldRef != nil:
			if value, ok := field(pod, v.ValueFrom.FieldRef.FieldPath, podIP, hostIP); ok {
				env[v.Name] = value
			}
		}
	}
	return env
}

// expand replaces $(NAME) by variables set before; $$(NAME) stands for $(NAME), and what is not set stays as it is.
func expand(text string, env map[string]string) string {
	var b strings.Builder
	for {
		at := strings.IndexByte(text, '$')
		if at < 0 || at+1 == len(text) {
			return b.String() + text
		}
		b.WriteString(text[:at])
		text = text[at:]
		end := strings.IndexByte(text, ')')
		switch {
		case text[1] == '$':
			b.WriteByte('$')
			text = text[2:]
		case text[1] == '(' && end > 0:
			value, ok := env[text[2:end]]
			if !ok {
				value = text[:end+1]
			}
			b.WriteString(value)
			text = text[end+1:]
		default:
			b.WriteByte('$')
			text = text[1:]
		}
	}
}

func field(pod *corev1.Pod, path, podIP, hostIP string) (string, bool) {
	for prefix, values := range map[string]map[string]string{"metadata.labels['": pod.Labels, "metadata.annotations['": pod.Annotations} {
		if key, ok := strings.CutPrefix(path, prefix); ok {
			return values[strings.TrimSuffix(key, "']")], true
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, true
	case "metadata.namespace":
		return pod.Namespace, true
	case "metadata.uid":
		return string(pod.UID), true
	case "spec.nodeName":
		return pod.Spec.NodeName, true
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, true
	case "status.podIP", "status.podIPs":
		return podIP, true
	case "status.hostIP", "status.hostIPs":
		return hostIP, true
	}
	return "", false
}
