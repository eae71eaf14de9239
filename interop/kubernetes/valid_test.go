package kubernetes_test

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/kubernetes/pkg/apis/rbac"
	rbacvalidation "k8s.io/kubernetes/pkg/apis/rbac/validation"
	psaapi "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"
)

// checkValid says what the API server would refuse.
func checkValid(c *cluster) []string {
	var bad []string
	for _, o := range c.objects {
		kind := o.GetObjectKind().GroupVersionKind()
		internal, err := legacyscheme.Scheme.ConvertToVersion(o, runtime.InternalGroupVersioner)
		if err != nil {
			bad = append(bad, fmt.Sprintf("%s: %v", kind, err))
			continue
		}
		for _, err := range validate(internal) {
			bad = append(bad, fmt.Sprintf("%s %s: %v", kind.Kind, nameOf(o), err))
		}
	}
	return bad
}

// validate is Kubernetes' own validation of what is created.
func validate(o runtime.Object) field.ErrorList {
	switch o := o.(type) {
	case *apps.Deployment:
		return appsvalidation.ValidateDeployment(o, corevalidation.PodValidationOptions{})
	case *apps.StatefulSet:
		return appsvalidation.ValidateStatefulSet(o, corevalidation.PodValidationOptions{})
	case *core.Service:
		if o.Spec.ClusterIP == core.ClusterIPNone {
			o.Spec.ClusterIPs = []string{core.ClusterIPNone} // as the API server does before it validates
		}
		return corevalidation.ValidateServiceCreate(o)
	case *core.Secret:
		return corevalidation.ValidateSecret(o)
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(o)
	case *core.ServiceAccount:
		return corevalidation.ValidateServiceAccount(o)
	case *core.Namespace:
		return corevalidation.ValidateNamespace(o)
	case *networking.Ingress:
		return networkingvalidation.ValidateIngressCreate(o)
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{})
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{})
	case *rbac.Role:
		return rbacvalidation.ValidateRole(o)
	case *rbac.RoleBinding:
		return rbacvalidation.ValidateRoleBinding(o)
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("nothing here validates a %T", o))}
}

// checkSecurity says which pods their namespace would not admit, of those whose
// level is restricted, and which namespaces demand less.
func checkSecurity(c *cluster) []string {
	const level = psaapi.LevelRestricted
	var bad []string
	for _, ns := range c.namespaces {
		if ns.Labels[psaapi.EnforceLevelLabel] != string(level) {
			bad = append(bad, fmt.Sprintf("Namespace %s does not enforce the level %s", ns.Name, level))
		}
	}
	evaluator, err := psapolicy.NewEvaluator(psapolicy.DefaultChecks())
	if err != nil {
		return append(bad, err.Error())
	}
	for _, w := range c.workloads {
		if c.namespaces[w.namespace] == nil {
			bad = append(bad, fmt.Sprintf("%s is in namespace %q, which is not made here", w.name, w.namespace))
		}
		results := evaluator.EvaluatePod(psaapi.LevelVersion{Level: level, Version: psaapi.LatestVersion()}, &w.pod.ObjectMeta, &w.pod.Spec)
		if r := psapolicy.AggregateCheckResults(results); !r.Allowed {
			bad = append(bad, fmt.Sprintf("%s is not admitted: %s: %s", w.name, r.ForbiddenReason(), r.ForbiddenDetail()))
		}
		for i := range w.pod.Spec.Containers {
			s := w.pod.Spec.Containers[i].SecurityContext
			if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem { // which no level demands
				bad = append(bad, fmt.Sprintf("container %s may write to its image", w.pod.Spec.Containers[i].Name))
			}
		}
	}
	return bad
}
