// Package conformance runs the conformance kit, package storetest, over the real
// Thanos' sidecar, store gateway, querier and receiver, and over thanoskit's own
// sidecar and querier beside and before them. What the real ones fail is known,
// one by one, and stands in docs/conformance.md: a check that fails anew is an
// error here, and so is one that does not fail any more.
package conformance
