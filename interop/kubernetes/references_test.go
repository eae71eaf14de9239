package kubernetes_test

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func nameOf(o runtime.Object) string {
	m, err := meta.Accessor(o)
	if err != nil {
		return err.Error()
	}
	return m.GetName()
}

// selected returns the workloads in a namespace whose pods a selector selects.
func (c *cluster) selected(namespace string, s *metav1.LabelSelector) ([]workload, error) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil, err
	}
	var out []workload
	for _, w := range c.workloads {
		if w.namespace == namespace && selector.Matches(labels.Set(w.pod.Labels)) {
			out = append(out, w)
		}
	}
	return out, nil
}

// only returns the one workload that a selector is to select.
func (c *cluster) only(namespace string, s *metav1.LabelSelector) (workload, error) {
	found, err := c.selected(namespace, s)
	if err != nil {
		return workload{}, err
	}
	if len(found) != 1 {
		return workload{}, fmt.Errorf("selects the pods of %d workloads", len(found))
	}
	return found[0], nil
}

// checkSelectors says which selectors do not select what they are for, and
// which workloads of several pods a drain may end at once.
func checkSelectors(c *cluster) []string {
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for _, w := range c.workloads {
		found, err := c.only(w.namespace, w.selector)
		if err != nil || found.name != w.name {
			say("%s: selector: %v", w.name, err)
		}
		for _, s := range w.pod.Spec.TopologySpreadConstraints {
			if found, err := c.only(w.namespace, s.LabelSelector); err != nil || found.name != w.name {
				say("%s: topology spread: selects others: %v", w.name, err)
			}
		}
		budgets := 0
		for _, b := range c.budgets {
			if found, err := c.selected(b.Namespace, b.Spec.Selector); err == nil && len(found) == 1 && found[0].name == w.name {
				budgets++
			}
		}
		if want := min(w.replicas, 2) - 1; budgets != int(want) {
			say("%s has %d pods and %d PodDisruptionBudgets", w.name, w.replicas, budgets)
		}
	}
	for _, b := range c.budgets {
		if _, err := c.only(b.Namespace, b.Spec.Selector); err != nil {
			say("PodDisruptionBudget %s: %v", b.Name, err)
		}
	}
	for _, s := range c.services {
		if _, err := c.only(s.Namespace, &metav1.LabelSelector{MatchLabels: s.Spec.Selector}); err != nil {
			say("Service %s: %v", s.Name, err)
		}
	}
	for _, s := range c.statefulSets {
		service := c.services[s.Namespace+"/"+s.Spec.ServiceName]
		switch {
		case service == nil:
			say("StatefulSet %s: no Service %s", s.Name, s.Spec.ServiceName)
		case service.Spec.ClusterIP != corev1.ClusterIPNone:
			say("StatefulSet %s: Service %s is not headless", s.Name, service.Name)
		default:
			if found, err := c.only(s.Namespace, &metav1.LabelSelector{MatchLabels: service.Spec.Selector}); err != nil || found.name != s.Name {
				say("StatefulSet %s: Service %s does not select its pods: %v", s.Name, service.Name, err)
			}
		}
	}
	return bad
}

// port returns the container and the port of a name or number.
func (w workload) port(p intstr.IntOrString) (*corev1.Container, *corev1.ContainerPort) {
	for i := range w.pod.Spec.Containers {
		for j := range w.pod.Spec.Containers[i].Ports {
			port := &w.pod.Spec.Containers[i].Ports[j]
			if p.Type == intstr.String && port.Name == p.StrVal || p.Type == intstr.Int && port.ContainerPort == p.IntVal {
				return &w.pod.Spec.Containers[i], port
			}
		}
	}
	return nil, nil
}

// checkPorts says which ports of Services and probes no container has. Kubernetes
// takes them all, and connections are refused.
func checkPorts(c *cluster) []string {
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for _, s := range c.services {
		w, err := c.only(s.Namespace, &metav1.LabelSelector{MatchLabels: s.Spec.Selector})
		if err != nil {
			continue // checkSelectors has said so
		}
		for _, p := range s.Spec.Ports {
			if _, port := w.port(p.TargetPort); port == nil {
				say("Service %s: no container of %s has port %s", s.Name, w.name, p.TargetPort.String())
			} else if s.Spec.ClusterIP == corev1.ClusterIPNone && port.ContainerPort != p.Port {
				say("Service %s: port %s is %d, which a headless Service does not translate into %d", s.Name, p.Name, p.Port, port.ContainerPort)
			}
		}
	}
	for _, w := range c.workloads {
		for i := range w.pod.Spec.Containers {
			container := &w.pod.Spec.Containers[i]
			for name, probe := range probes(container) {
				switch {
				case probe == nil && name != "startup":
					say("container %s of %s has no %s probe", container.Name, w.name, name)
				case probe == nil:
				case probe.HTTPGet == nil:
					say("container %s of %s: %s probe is not HTTP", container.Name, w.name, name)
				default:
					if of, _ := w.port(probe.HTTPGet.Port); of != container {
						say("container %s of %s: %s probe asks port %s, which is not its own", container.Name, w.name, name, probe.HTTPGet.Port.String())
					}
				}
			}
		}
	}
	return bad
}

func probes(c *corev1.Container) map[string]*corev1.Probe {
	return map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe}
}

// checkReferences says which Secrets, ConfigMaps, keys and accounts are named and
// not there, and which files are given to programs and mounted nowhere.
func checkReferences(c *cluster) []string {
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for _, w := range c.workloads {
		if a := w.pod.Spec.ServiceAccountName; a != "" && c.accounts[w.namespace+"/"+a] == nil {
			say("%s: no ServiceAccount %s", w.name, a)
		}
		if auto := w.pod.Spec.AutomountServiceAccountToken; w.pod.Spec.ServiceAccountName == "" && (auto == nil || *auto) {
			say("%s: has a token of the namespace's account, which it does not need", w.name)
		}
		files, err := c.files(w)
		if err != nil {
			say("%s: %v", w.name, err)
		}
		for _, container := range w.pod.Spec.Containers {
			for _, arg := range container.Args {
				flag, value, _ := strings.Cut(arg, "=")
				if !strings.HasPrefix(value, "/") {
					continue
				}
				volume, rest := mounted(&container, value)
				content, ok := files[volume]
				switch {
				case volume == "":
					say("%s: %s=%s of %s: nothing is mounted there", w.name, flag, value, container.Name)
				case !ok && rest != "" || ok && content[rest] == nil:
					say("%s: %s=%s of %s: no such file in volume %s", w.name, flag, value, container.Name, volume)
				}
			}
		}
	}
	return bad
}

// mounted returns the volume that a path is in, and its path there.
func mounted(c *corev1.Container, file string) (volume, rest string) {
	deepest := ""
	for _, m := range c.VolumeMounts {
		if (file == m.MountPath || strings.HasPrefix(file, m.MountPath+"/")) && len(m.MountPath) > len(deepest) {
			deepest, volume, rest = m.MountPath, m.Name, strings.TrimPrefix(strings.TrimPrefix(file, m.MountPath), "/")
		}
	}
	return volume, rest
}

// files returns the files of those volumes of a workload that are made of Secrets
// and ConfigMaps.
func (c *cluster) files(w workload) (map[string]map[string][]byte, error) {
	out := map[string]map[string][]byte{}
	for _, v := range w.pod.Spec.Volumes {
		switch {
		case v.Secret != nil:
			s := c.secrets[w.namespace+"/"+v.Secret.SecretName]
			if s == nil {
				return out, fmt.Errorf("volume %s: no Secret %s", v.Name, v.Secret.SecretName)
			}
			out[v.Name] = s.Data
		case v.ConfigMap != nil:
			m := c.configs[w.namespace+"/"+v.ConfigMap.Name]
			if m == nil {
				return out, fmt.Errorf("volume %s: no ConfigMap %s", v.Name, v.ConfigMap.Name)
			}
			out[v.Name] = map[string][]byte{}
			for name, text := range m.Data {
				out[v.Name][name] = []byte(text)
			}
		default:
			return out, fmt.Errorf("volume %s is neither a Secret nor a ConfigMap", v.Name)
		}
	}
	return out, nil
}

// prometheusImage is the one image that is not ours.
const prometheusImage = "quay.io/prometheus/prometheus:v3.9.1"

// ourImage is what kustomization.yaml calls the Dockerfile's.
const ourImage = "registry.example/thanoskit:v1"

// checkContainers says which containers are not of the images that there are, could
// take all the memory of a node, or are not given the time that they need to end.
func checkContainers(c *cluster) []string {
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for _, w := range c.workloads {
		for _, container := range w.pod.Spec.Containers {
			if container.Image != ourImage && container.Image != prometheusImage {
				say("container %s of %s: image %s", container.Name, w.name, container.Image)
			}
			limit := container.Resources.Limits.Memory().Value()
			if limit == 0 || container.Resources.Requests.Cpu().IsZero() || container.Resources.Requests.Memory().IsZero() {
				say("container %s of %s: no limit of memory, or no request", container.Name, w.name)
			}
			if container.Image != ourImage {
				continue
			}
			i := slices.IndexFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == "GOMEMLIMIT" })
			if i < 0 {
				say("container %s of %s: no GOMEMLIMIT", container.Name, w.name)
				continue
			}
			var mebibytes int64
			if _, err := fmt.Sscanf(container.Env[i].Value, "%dMiB", &mebibytes); err != nil || mebibytes<<20 >= limit || mebibytes<<20 < limit*8/10 {
				say("container %s of %s: GOMEMLIMIT=%s is not a little less than the limit of %d bytes", container.Name, w.name, container.Env[i].Value, limit)
			}
			if grace := gracePeriod(&container); *w.pod.Spec.TerminationGracePeriodSeconds <= grace {
				say("container %s of %s: has %d s to end, and its calls have %d", container.Name, w.name, *w.pod.Spec.TerminationGracePeriodSeconds, grace)
			}
		}
	}
	return bad
}

// gracePeriod is how long the program of a container lets calls run on, in seconds:
// what the flag says, or its default.
func gracePeriod(c *corev1.Container) int64 {
	if path.Base(cmp.Or(slices.Concat(c.Command, []string{""})[0], "")) == "compactor" {
		return 10
	}
	for _, arg := range c.Args {
		var seconds int64
		if _, err := fmt.Sscanf(arg, "--grpc-grace-period=%ds", &seconds); err == nil {
			return seconds
		}
	}
	return 120
}
