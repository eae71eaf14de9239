package kubernetes_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// source is where the manifests are.
const source = "../../examples/kubernetes"

// directories are those that one applies.
var directories = []string{"observee", "observee-passthrough", "observer"}

// sharedFiles are made once, by the first test that needs them.
type sharedFiles struct {
	dir       string
	manifests sync.Once
	programs  sync.Once
}

var shared sharedFiles

// prepared returns the manifests with the certificates and credentials that one
// makes first, by what their comments say.
func prepared(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(shared.dir, "manifests")
	shared.manifests.Do(func() {
		testutil.Ok(t, os.CopyFS(dir, withoutSecrets{os.DirFS(source)}))
		out, err := exec.Command("sh", filepath.Join(dir, "certificates.sh"), "thanos.eu.example").CombinedOutput()
		testutil.Ok(t, err, string(out))
		bucket, err := os.ReadFile(filepath.Join(dir, "objstore.example.yaml"))
		testutil.Ok(t, err)
		for _, name := range []string{"observee/secrets/objstore.yaml", "observer/secrets/objstore-eu.yaml", "observer/secrets/objstore-us.yaml"} {
			testutil.Ok(t, os.WriteFile(filepath.Join(dir, name), bucket, 0o600))
		}
	})
	return dir
}

// withoutSecrets hides the directories that somebody has filled who tries the manifests.
type withoutSecrets struct{ fs.FS }

func (w withoutSecrets) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(w.FS, name)
	kept := entries[:0]
	for _, e := range entries {
		if e.Name() != "secrets" {
			kept = append(kept, e)
		}
	}
	return kept, err
}

// patch is a piece of text in a file, and what to put in its place.
type patch struct{ file, old, new string }

// patched returns a copy of the prepared manifests with the patches.
func patched(t testing.TB, patches ...patch) string {
	t.Helper()
	from, dir := prepared(t), t.TempDir()
	testutil.Ok(t, os.CopyFS(dir, os.DirFS(from)))
	for _, p := range patches {
		file := filepath.Join(dir, p.file)
		text, err := os.ReadFile(file)
		testutil.Ok(t, err)
		testutil.Equals(t, 1, strings.Count(string(text), p.old), "%q in %s", p.old, p.file)
		testutil.Ok(t, os.WriteFile(file, []byte(strings.Replace(string(text), p.old, p.new, 1)), 0o600))
	}
	return dir
}

// cluster is all objects that one directory applies.
type cluster struct {
	objects      []runtime.Object
	workloads    []workload
	services     map[string]*corev1.Service
	secrets      map[string]*corev1.Secret
	configs      map[string]*corev1.ConfigMap
	accounts     map[string]*corev1.ServiceAccount
	namespaces   map[string]*corev1.Namespace
	ingresses    []*networkingv1.Ingress
	policies     []*networkingv1.NetworkPolicy
	budgets      []*policyv1.PodDisruptionBudget
	statefulSets []*appsv1.StatefulSet
}

// workload is what makes pods.
type workload struct {
	name, namespace string
	replicas        int32
	selector        *metav1.LabelSelector
	pod             *corev1.PodTemplateSpec
	claims          []corev1.PersistentVolumeClaim
}

// build builds a directory as kubectl apply -k does, and decodes strictly what
// comes out.
func build(dir string) (*cluster, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("build manifests: %w", err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("write manifests: %w", err)
	}
	return decode(text)
}

// decode reads documents of YAML. Unknown and repeated fields are errors.
func decode(text []byte) (*cluster, error) {
	c := &cluster{
		services: map[string]*corev1.Service{}, secrets: map[string]*corev1.Secret{}, configs: map[string]*corev1.ConfigMap{},
		accounts: map[string]*corev1.ServiceAccount{}, namespaces: map[string]*corev1.Namespace{},
	}
	strict := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	buf := make([]byte, len(text)+1)
	for {
		n, err := documents.Read(buf)
		if err == io.EOF {
			return c, nil
		}
		if err != nil {
			return nil, fmt.Errorf("split documents: %w", err)
		}
		o, kind, err := strict.Decode(buf[:n], nil, nil)
		if err != nil {
			return nil, fmt.Errorf("decode document: %w\n%s", err, buf[:n])
		}
		legacyscheme.Scheme.Default(o)
		if err := c.add(o); err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
	}
}

func (c *cluster) add(o runtime.Object) error {
	c.objects = append(c.objects, o)
	switch o := o.(type) {
	case *appsv1.Deployment:
		c.workloads = append(c.workloads, workload{o.Name, o.Namespace, *o.Spec.Replicas, o.Spec.Selector, &o.Spec.Template, nil})
	case *appsv1.StatefulSet:
		c.statefulSets = append(c.statefulSets, o)
		c.workloads = append(c.workloads, workload{o.Name, o.Namespace, *o.Spec.Replicas, o.Spec.Selector, &o.Spec.Template, o.Spec.VolumeClaimTemplates})
	case *corev1.Service:
		c.services[o.Namespace+"/"+o.Name] = o
	case *corev1.Secret:
		c.secrets[o.Namespace+"/"+o.Name] = o
	case *corev1.ConfigMap:
		c.configs[o.Namespace+"/"+o.Name] = o
	case *corev1.ServiceAccount:
		c.accounts[o.Namespace+"/"+o.Name] = o
	case *corev1.Namespace:
		c.namespaces[o.Name] = o
	case *networkingv1.Ingress:
		c.ingresses = append(c.ingresses, o)
	case *networkingv1.NetworkPolicy:
		c.policies = append(c.policies, o)
	case *policyv1.PodDisruptionBudget:
		c.budgets = append(c.budgets, o)
	case *rbacv1.Role, *rbacv1.RoleBinding:
	default:
		return errors.New("nothing here checks this kind")
	}
	return nil
}

// check builds a directory and returns all that is wrong with it.
func check(dir string) []string {
	c, err := build(dir)
	if err != nil {
		return []string{err.Error()}
	}
	var bad []string
	for _, of := range []func(*cluster) []string{
		checkValid, checkSecurity, checkSelectors, checkPorts, checkReferences, checkContainers, checkIngresses, checkAddresses, checkServes, checkFlows,
	} {
		bad = append(bad, of(c)...)
	}
	return bad
}

func TestManifests(t *testing.T) {
	t.Parallel()
	for _, name := range directories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(prepared(t), name)
			for _, line := range check(dir) {
				t.Error(line)
			}
		})
	}
}

// TestServes: the observer takes from the ingress of an observee what its Prometheus
// says that it is, and as much from its bucket.
func TestServes(t *testing.T) {
	t.Parallel()
	observee, err := build(filepath.Join(prepared(t), "observee"))
	testutil.Ok(t, err)
	var prometheus struct {
		Global struct {
			Labels map[string]string `json:"external_labels"`
		}
	}
	for _, m := range observee.configs {
		testutil.Ok(t, yaml.Unmarshal([]byte(m.Data["prometheus.yml"]), &prometheus), m.Name)
	}
	cluster := prometheus.Global.Labels["cluster"]
	testutil.Assert(t, cluster != "")
	observer, err := build(filepath.Join(prepared(t), "observer"))
	testutil.Ok(t, err)
	endpoints, err := observer.endpoints()
	testutil.Ok(t, err)
	serves := map[string]string{}
	for _, e := range endpoints {
		serves[e.Address] = e.Serves["cluster"]
	}
	testutil.Equals(t, map[string]string{
		observee.ingresses[0].Spec.Rules[0].Host + ":443":            cluster,
		"dns+store-" + cluster + ".observer.svc.cluster.local:10901": cluster,
		"thanos.us.example:443":                                      "us",
		"dns+store-us.observer.svc.cluster.local:10901":              "us",
	}, serves)
}
