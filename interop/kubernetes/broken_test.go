package kubernetes_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
)

// TestBroken shows each check manifests that it is there for.
func TestBroken(t *testing.T) {
	t.Parallel()
	const (
		prometheus = "observee/prometheus.yaml"
		compactor  = "observee/compactor.yaml"
		querier    = "observee/querier.yaml"
		ingress    = "observee/ingress.yaml"
		policy     = "observee/networkpolicy.yaml"
	)
	for _, tc := range []struct {
		name    string
		patches []patch
		dir     string // observee unless it says another
		want    string // what is said is to contain it
	}{
		// Decoding.
		{name: "unknown field", patches: []patch{{compactor, "mountPath: /data}", "mountPath: /data, readonly: true}"}}, want: `unknown field "spec.template.spec.containers[0].volumeMounts[0].readonly"`},
		{name: "field twice", patches: []patch{{prometheus, "replicas: 2\n", "replicas: 2\n  replicas: 3\n"}}, want: `replicas`},
		{name: "wrong type", patches: []patch{{compactor, "replicas: 1\n", "replicas: one\n"}}, want: "replicas"},
		{name: "unknown kind", patches: []patch{{querier, "kind: PodDisruptionBudget", "kind: PodDisruptionBudgets"}}, want: "no kind"},
		{name: "no such file", patches: []patch{{"observee/kustomization.yaml", "files: [prometheus.yml]", "files: [none.yml]"}}, want: "none.yml"},
		// Kubernetes' own validation.
		{name: "quantity", patches: []patch{{compactor, "memory: 2Gi", "memory: 512Mi"}}, want: "must be less than or equal to memory limit"},
		{name: "volume that is none", patches: []patch{{compactor, "{name: data, mountPath: /data}", "{name: disk, mountPath: /data}"}}, want: `volumeMounts[0].name: Not found: "disk"`},
		{name: "selector is not the pods'", patches: []patch{{compactor, "    matchLabels:\n      app.kubernetes.io/name: compactor", "    matchLabels:\n      app.kubernetes.io/name: compactors"}}, want: "`selector` does not match template `labels`"},
		{name: "policy's budget", patches: []patch{{querier, "maxUnavailable: 1", "maxUnavailable: 1\n  minAvailable: 1"}}, want: "minAvailable and maxUnavailable cannot be both set"},
		{name: "role", patches: []patch{{prometheus, "verbs: [get, list, watch]", "verbs: []"}}, want: "verbs must contain at least one value"},
		{name: "path of ingress", patches: []patch{{ingress, "path: /thanos.Store/", "path: thanos.Store/"}}, want: "must be an absolute path"},
		{name: "port of policy", patches: []patch{{policy, "- {port: web}", "- {port: web, endPort: 9100}"}}, want: "endPort"},
		// The Pod Security Standard.
		{name: "namespace", patches: []patch{{"observee/namespace.yaml", "enforce: restricted", "enforce: baseline"}}, want: "does not enforce the level restricted"},
		{name: "capabilities", patches: []patch{{compactor, "capabilities: {drop: [ALL]}", "capabilities: {drop: [NET_RAW]}"}}, want: "unrestricted capabilities"},
		{name: "root", patches: []patch{{compactor, "runAsUser: 65532", "runAsUser: 0"}}, want: "runAsUser=0"},
		{name: "image that is written to", patches: []patch{{compactor, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"}}, want: "may write to its image"},
		// Selectors.
		{name: "service of nobody", patches: []patch{{querier, "  selector:\n    app.kubernetes.io/name: querier\n  ports", "  selector:\n    app.kubernetes.io/name: query\n  ports"}}, want: "Service querier: selects the pods of 0 workloads"},
		{name: "budget of nobody", patches: []patch{{querier, "AlwaysAllow\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: querier", "AlwaysAllow\n  selector:\n    matchLabels:\n      app: querier"}}, want: "querier has 2 pods and 0 PodDisruptionBudgets"},
		{name: "service of a stateful set", patches: []patch{{compactor, "serviceName: compactor", "serviceName: compact"}}, want: "no Service compact"},
		{name: "not headless", patches: []patch{{compactor, "clusterIP: None # Nobody", "# Nobody"}}, want: "Service compactor is not headless"},
		{name: "both stores", dir: "observer", patches: []patch{{"observer/store-eu/kustomization.yaml", "includeSelectors: true", "includeSelectors: false"}}, want: "selects the pods of"},
		// Ports and probes.
		{name: "target port", patches: []patch{{querier, "port: 10901, targetPort: grpc", "port: 10901, targetPort: api"}}, want: "no container of querier has port api"},
		{name: "headless port", patches: []patch{{prometheus, "port: 10901, targetPort: grpc", "port: 443, targetPort: grpc"}}, want: "does not translate"},
		{name: "port of a probe", patches: []patch{{compactor, "httpGet: {path: /-/ready, port: http}", "httpGet: {path: /-/ready, port: web}"}}, want: "readiness probe asks port web"},
		{name: "no probe", patches: []patch{{compactor, "          livenessProbe:\n            httpGet: {path: /-/healthy, port: http}\n", ""}}, want: "has no liveness probe"},
		// References.
		{name: "secret", patches: []patch{{compactor, "secretName: objstore", "secretName: bucket"}}, want: "no Secret bucket"},
		{name: "key of a secret", patches: []patch{{"observee/kustomization.yaml", "objstore.yaml=secrets", "bucket.yaml=secrets"}}, want: "--objstore.config-file=/etc/objstore/objstore.yaml of compactor: no such file in volume objstore"},
		{name: "config map", dir: "observer", patches: []patch{{"observer/querier.yaml", "configMap: {name: endpoints}", "configMap: {name: endpoint}"}}, want: "no ConfigMap endpoint"},
		{name: "path that is not mounted", patches: []patch{{compactor, "--data-dir=/data", "--data-dir=/var/data"}}, want: "--data-dir=/var/data of compactor: nothing is mounted there"},
		{name: "account", patches: []patch{{prometheus, "serviceAccountName: prometheus", "serviceAccountName: prom"}}, want: "no ServiceAccount prom"},
		{name: "token", patches: []patch{{compactor, "automountServiceAccountToken: false", "automountServiceAccountToken: true"}}, want: "has a token"},
		// Containers.
		{name: "image", patches: []patch{{compactor, "image: thanoskit", "image: thanos"}}, want: "image thanos"},
		{name: "no limit of memory", patches: []patch{{compactor, "            limits: {memory: 2Gi}\n", ""}}, want: "no limit of memory"},
		{name: "memory of the collector", patches: []patch{{compactor, "1800MiB", "4000MiB"}}, want: "is not a little less than the limit"},
		{name: "grace period", patches: []patch{{querier, "--grpc-grace-period=30s\n", "--grpc-grace-period=90s\n"}}, want: "has 60 s to end, and its calls have 90"},
		// The ingress.
		{name: "annotation with a typing error", patches: []patch{{ingress, "auth-tls-verify-client", "auth-tls-verify-clients"}}, want: "does not document"},
		{name: "optional certificates", patches: []patch{{ingress, `auth-tls-verify-client: "on"`, `auth-tls-verify-client: optional`}}, want: `auth-tls-verify-client: "optional"`},
		{name: "CA in another namespace", patches: []patch{{ingress, "observee/observer-ca", "observer/observer-ca"}}, want: `no Secret "observer/observer-ca" with a ca.crt`},
		{name: "CA under another key", patches: []patch{{"observee/kustomization.yaml", "ca.crt=secrets/ingress", "tls.crt=secrets/ingress"}}, want: `no Secret "observee/observer-ca" with a ca.crt`},
		{name: "name with no end", patches: []patch{{ingress, "CN=observer$\n", "CN=observer\n"}}, want: `auth-tls-match-cn: "CN=observer"`},
		{name: "host in plain text", patches: []patch{{ingress, "hosts: [thanos.eu.example]", "hosts: [thanos.example]"}}, want: "thanos.eu.example is not served with TLS"},
		{name: "certificate of a host", patches: []patch{{ingress, "secretName: ingress-tls", "secretName: tls"}}, want: "no Secret tls of type kubernetes.io/tls"},
		{name: "backend", patches: []patch{{ingress, "service: {name: querier, port: {name: grpc}}", "service: {name: querier, port: {name: api}}"}}, want: "leads to no Service"},
		{name: "dots", patches: []patch{{ingress, "path: /thanos.Store/, pathType: ImplementationSpecific", "path: /thanos.Store/, pathType: Prefix"}}, want: "refuses a dot"},
		{name: "passthrough to anybody", dir: "observee-passthrough", patches: []patch{{"observee-passthrough/kustomization.yaml", "value: --grpc-server-tls-client-ca=/etc/client-ca/ca.crt", "value: --query.partial-response"}}, want: "which demands no certificate"},
		// Addresses.
		{name: "port in DNS", patches: []patch{{querier, "_grpc._tcp.sidecar", "_http._tcp.sidecar"}}, want: "Service sidecar has no such port"},
		{name: "service in DNS", patches: []patch{{querier, "_tcp.sidecar.observee", "_tcp.prometheus.observee"}}, want: "no such Service"},
		{name: "one of many", patches: []patch{{querier, "dnssrv+_grpc._tcp.sidecar.observee", "dnssrv+_grpc._tcp.querier.observee"}}, want: "one of its pods would be asked"},
		{name: "not ready is forgotten", patches: []patch{{prometheus, "publishNotReadyAddresses: true", "publishNotReadyAddresses: false"}}, want: "forgets pods that are not ready"},
		{name: "port number", dir: "observer", patches: []patch{{"observer/endpoints.yaml", "store-us.observer.svc.cluster.local:10901", "store-us.observer.svc.cluster.local:10902"}}, want: "has no such port"},
		{name: "observee that may be any", dir: "observer", patches: []patch{{"observer/endpoints.yaml", "    serves: {cluster: eu}\n    client_config", "    client_config"}}, want: "endpoint thanos.eu.example:443 may serve any cluster"},
		// Connections.
		{name: "everybody at the querier", patches: []patch{{policy, "        - namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: ingress-nginx\n          podSelector", "        - namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: ingress-nginx\n        - podSelector"}}, want: "connection of other in ingress-nginx to port grpc of querier: allowed is true"},
		{name: "nobody at the sidecar", patches: []patch{{policy, "  name: sidecar\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: prometheus", "  name: sidecar\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: compactor"}}, want: "connection of querier in observee to port grpc of prometheus: allowed is false"},
		{name: "no default", patches: []patch{{policy, "  name: default-deny\nspec:\n  podSelector: {}\n  policyTypes: [Ingress]", "  name: default-deny\nspec:\n  podSelector: {}\n  policyTypes: [Ingress]\n  ingress: [{}]"}}, want: "allowed is true"},
		{name: "policy of nobody", patches: []patch{{policy, "  name: querier\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: querier", "  name: querier\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: query"}}, want: "NetworkPolicy querier selects no pods"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := tc.dir
			if dir == "" {
				dir = "observee"
			}
			bad := strings.Join(check(filepath.Join(patched(t, tc.patches...), dir)), "\n")
			testutil.Assert(t, strings.Contains(bad, tc.want), "found:\n%s\nwant: %s", bad, tc.want)
		})
	}
}
