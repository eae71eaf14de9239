// Package kubernetes checks the manifests of examples/kubernetes, with Kubernetes'
// own code in place of a cluster.
//
// They are built as kubectl apply -k builds them, with certificates that their own
// script makes; decoded strictly; defaulted and validated as the API server does,
// and held to the Pod Security Standard that their namespaces demand. Then all that
// no API server looks at is: selectors, ports, references, addresses, what
// annotations ingress-nginx knows, who may connect to whom. At last each container
// is run as kubelet would, with the programs that the Dockerfile's own command
// builds and with the real Prometheus, and its probes are asked.
//
// Each check is shown manifests that are broken in the way that it is there for.
//
// It needs openssl, and the prometheus that .ci/run builds. With an empty cache it
// compiles about 1,600 packages; after that a run takes seconds.
package kubernetes
