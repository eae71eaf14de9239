package kubernetes_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

const annotationPrefix = "nginx.ingress.kubernetes.io/"

// annotationValues is what ingress-nginx takes for the annotations that are used
// here. One that it does not understand it ignores: then whoever dials gets in.
var annotationValues = map[string]*regexp.Regexp{
	"backend-protocol":                      regexp.MustCompile(`^GRPCS$`),
	"auth-tls-secret":                       regexp.MustCompile(`^[a-z0-9-]+/[a-z0-9-]+$`),
	"auth-tls-verify-client":                regexp.MustCompile(`^on$`),
	"auth-tls-verify-depth":                 regexp.MustCompile(`^1$`),
	"auth-tls-match-cn":                     regexp.MustCompile(`^CN=.*\$$`),
	"auth-tls-pass-certificate-to-upstream": regexp.MustCompile(`^(true|false)$`),
	"ssl-redirect":                          regexp.MustCompile(`^true$`),
	"ssl-passthrough":                       regexp.MustCompile(`^true$`),
	"proxy-read-timeout":                    regexp.MustCompile(`^[0-9]+$`),
	"proxy-send-timeout":                    regexp.MustCompile(`^[0-9]+$`),
	"proxy-connect-timeout":                 regexp.MustCompile(`^[0-9]+$`),
}

// documented returns the annotations that ingress-nginx documents.
func documented() (map[string]bool, error) {
	f, err := os.Open("testdata/ingress-nginx-annotations.txt")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "#") {
			out[lines.Text()] = true
		}
	}
	return out, nil
}

// checkIngresses says which ingresses let in whom they should not, or lead nowhere.
func checkIngresses(c *cluster) []string {
	known, err := documented()
	if err != nil {
		return []string{err.Error()}
	}
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for _, in := range c.ingresses {
		for name, value := range in.Annotations {
			short, of := strings.CutPrefix(name, annotationPrefix)
			switch {
			case !of || !known[name]:
				say("Ingress %s: ingress-nginx does not document %s", in.Name, name)
			case annotationValues[short] == nil || !annotationValues[short].MatchString(value):
				say("Ingress %s: %s: %q", in.Name, name, value)
			}
		}
		bad = append(bad, c.checkBoundary(in)...)
		for _, tls := range in.Spec.TLS {
			if s := c.secrets[in.Namespace+"/"+tls.SecretName]; s == nil || s.Type != corev1.SecretTypeTLS {
				say("Ingress %s: no Secret %s of type %s", in.Name, tls.SecretName, corev1.SecretTypeTLS)
			}
		}
		for _, rule := range in.Spec.Rules {
			for _, p := range rule.HTTP.Paths {
				if p.Backend.Service == nil || c.servicePort(in.Namespace, p.Backend.Service.Name, p.Backend.Service.Port.Name) == nil {
					say("Ingress %s: %s%s leads to no Service", in.Name, rule.Host, p.Path)
				}
				if *p.PathType != networkingv1.PathTypeImplementationSpecific && strings.Contains(p.Path, ".") {
					say("Ingress %s: ingress-nginx refuses a dot in %s with type %s", in.Name, p.Path, *p.PathType)
				}
			}
		}
	}
	return bad
}

// checkBoundary says which clients without a certificate an ingress lets in.
func (c *cluster) checkBoundary(in *networkingv1.Ingress) []string {
	var bad []string
	say := func(format string, args ...any) {
		bad = append(bad, fmt.Sprintf("Ingress %s: %s", in.Name, fmt.Sprintf(format, args...)))
	}
	hasCA := func(secret string) bool { return c.secrets[secret] != nil && c.secrets[secret].Data["ca.crt"] != nil }
	if in.Annotations[annotationPrefix+"ssl-passthrough"] == "true" {
		// Who demands the certificate then is the program behind it.
		for _, w := range c.workloads {
			if w.name != in.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name {
				continue
			}
			if !slices.ContainsFunc(w.pod.Spec.Containers[0].Args, func(a string) bool { return strings.HasPrefix(a, "--grpc-server-tls-client-ca=") }) {
				say("hands connections on to %s, which demands no certificate", w.name)
			}
		}
		return bad
	}
	if secret := in.Annotations[annotationPrefix+"auth-tls-secret"]; !hasCA(secret) {
		say("no Secret %q with a ca.crt", secret)
	}
	for _, name := range []string{"auth-tls-verify-client", "auth-tls-verify-depth", "auth-tls-match-cn", "backend-protocol", "ssl-redirect"} {
		if in.Annotations[annotationPrefix+name] == "" {
			say("no %s", name)
		}
	}
	for _, rule := range in.Spec.Rules {
		if !slices.ContainsFunc(in.Spec.TLS, func(t networkingv1.IngressTLS) bool { return slices.Contains(t.Hosts, rule.Host) }) {
			say("%s is not served with TLS", rule.Host)
		}
	}
	return bad
}

// servicePort returns a port of a Service by name, nil if there is none.
func (c *cluster) servicePort(namespace, service, port string) *corev1.ServicePort {
	s := c.services[namespace+"/"+service]
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == port })
	if i < 0 {
		return nil
	}
	return &s.Spec.Ports[i]
}

var (
	srvName  = regexp.MustCompile(`^dnssrv\+_([a-z]+)\._tcp\.([a-z0-9-]+)\.([a-z0-9-]+)\.svc\.cluster\.local$`)
	hostName = regexp.MustCompile(`^dns\+([a-z0-9-]+)\.([a-z0-9-]+)\.svc\.cluster\.local:([0-9]+)$`)
)

// endpoint is whom a querier asks.
type endpoint struct {
	Address string
	Serves  map[string]string
	inFile  bool
}

// endpoints returns whom the querier of a cluster asks.
func (c *cluster) endpoints() ([]endpoint, error) {
	var out []endpoint
	for _, w := range c.workloads {
		for _, container := range w.pod.Spec.Containers {
			for _, arg := range container.Args {
				if flag, value, _ := strings.Cut(arg, "="); strings.HasPrefix(flag, "--endpoint") && !strings.Contains(flag, "sd-config") {
					out = append(out, endpoint{Address: value})
				}
			}
		}
	}
	for _, m := range c.configs {
		var config struct{ Endpoints []endpoint }
		if err := yaml.Unmarshal([]byte(m.Data["endpoints.yaml"]), &config); err != nil {
			return nil, fmt.Errorf("ConfigMap %s: %w", m.Name, err)
		}
		for _, e := range config.Endpoints {
			e.inFile = true
			out = append(out, e)
		}
	}
	return out, nil
}

// checkServes says which endpoints may say that they are any cluster: those of the
// observer, which other people run.
func checkServes(c *cluster) []string {
	endpoints, err := c.endpoints()
	if err != nil {
		return []string{err.Error()}
	}
	var bad []string
	for _, e := range endpoints {
		if e.inFile && e.Serves["cluster"] == "" {
			bad = append(bad, fmt.Sprintf("endpoint %s may serve any cluster", e.Address))
		}
	}
	return bad
}

// checkAddresses says which addresses lead nowhere: DNS has names of headless
// Services' pods and named ports alone.
func checkAddresses(c *cluster) []string {
	endpoints, err := c.endpoints()
	if err != nil {
		return []string{err.Error()}
	}
	if len(endpoints) == 0 {
		return []string{"nobody is asked"}
	}
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for _, e := range endpoints {
		a := e.Address
		var service *corev1.Service
		var port *corev1.ServicePort
		if m := srvName.FindStringSubmatch(a); m != nil {
			service, port = c.services[m[3]+"/"+m[2]], c.servicePort(m[3], m[2], m[1])
		} else if m := hostName.FindStringSubmatch(a); m != nil {
			if service = c.services[m[2]+"/"+m[1]]; service != nil {
				number, _ := strconv.Atoi(m[3]) // at most a number that no port is
				if i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == int32(number) }); i >= 0 {
					port = &service.Spec.Ports[i]
				}
			}
		} else if _, p, err := net.SplitHostPort(a); err == nil && p == "443" {
			continue // an ingress elsewhere
		}
		switch {
		case service == nil:
			say("endpoint %s: no such Service", a)
		case port == nil:
			say("endpoint %s: Service %s has no such port", a, service.Name)
		case service.Spec.ClusterIP != corev1.ClusterIPNone:
			say("endpoint %s: Service %s is not headless: one of its pods would be asked", a, service.Name)
		case !service.Spec.PublishNotReadyAddresses:
			say("endpoint %s: Service %s forgets pods that are not ready", a, service.Name)
		}
	}
	return bad
}

// flow is a connection, and whether it is to be.
type flow struct {
	namespace string            // of whom it comes from
	labels    map[string]string // of whom it comes from
	to, port  string            // workload and name of a port
	want      bool
}

func named(name string) map[string]string { return map[string]string{"app.kubernetes.io/name": name} }

// flows are connections to the workloads of both clusters.
var flows = []flow{
	{"observee", named("querier"), "prometheus", "grpc", true},
	{"observee", named("compactor"), "prometheus", "grpc", false},
	{"observee", named("prometheus"), "prometheus", "web", true},
	{"observee", named("prometheus"), "prometheus", "http", true},
	{"observee", named("prometheus"), "compactor", "http", true},
	{"ingress-nginx", named("ingress-nginx"), "querier", "grpc", true},
	{"ingress-nginx", named("other"), "querier", "grpc", false},
	{"other", named("ingress-nginx"), "querier", "grpc", false},
	{"observee", named("compactor"), "querier", "grpc", false},
	{"other", named("querier"), "prometheus", "grpc", false},
	{"other", named("prometheus"), "prometheus", "web", false},
	{"observer", named("querier"), "store-eu", "grpc", true},
	{"observer", named("querier"), "store-us", "grpc", true},
	{"observer", named("other"), "store-eu", "grpc", false},
	{"other", named("querier"), "store-us", "grpc", false},
	{"grafana", named("grafana"), "querier", "http", true},
	{"other", named("grafana"), "querier", "http", false},
	{"observee", named("prometheus"), "store-eu", "http", true},
}

// checkFlows says which connections NetworkPolicies let through or stop against
// what is wanted.
func checkFlows(c *cluster) []string {
	var bad []string
	for _, p := range c.policies {
		if found, err := c.selected(p.Namespace, &p.Spec.PodSelector); err != nil || len(found) == 0 {
			bad = append(bad, fmt.Sprintf("NetworkPolicy %s selects no pods: %v", p.Name, err))
		}
	}
	for _, w := range c.workloads {
		for _, f := range flows {
			_, port := w.port(intstr.FromString(f.port))
			if f.to != w.name || port == nil {
				continue
			}
			// The queriers of both clusters have one name: the flows to either's own port
			// are those from where its clients are.
			if f.want && f.to == "querier" && (w.namespace == "observer") != (f.namespace == "grafana") {
				continue
			}
			if got := c.allowed(f, w, port); got != f.want {
				bad = append(bad, fmt.Sprintf("connection of %s in %s to port %s of %s: allowed is %t", f.labels["app.kubernetes.io/name"], f.namespace, f.port, w.name, got))
			}
		}
	}
	return bad
}

// allowed reports whether a connection is let through, as the API says of policies.
func (c *cluster) allowed(f flow, to workload, port *corev1.ContainerPort) bool {
	isolated := false
	for _, p := range c.policies {
		if p.Namespace != to.namespace || !matches(&p.Spec.PodSelector, to.pod.Labels) || !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
			continue
		}
		isolated = true
		for _, rule := range p.Spec.Ingress {
			ports := len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool {
				return p.Port == nil || *p.Port == intstr.FromString(port.Name) || *p.Port == intstr.FromInt32(port.ContainerPort)
			})
			peers := len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(peer networkingv1.NetworkPolicyPeer) bool {
				there := f.namespace == p.Namespace
				if peer.NamespaceSelector != nil {
					there = matches(peer.NamespaceSelector, map[string]string{corev1.LabelMetadataName: f.namespace})
				}
				return there && peer.IPBlock == nil && (peer.PodSelector == nil || matches(peer.PodSelector, f.labels))
			})
			if ports && peers {
				return true
			}
		}
	}
	return !isolated
}

func matches(s *metav1.LabelSelector, of map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(of))
}
