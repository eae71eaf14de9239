// Package fanoutgroups holds whom a fan-out asks, and what it announces, to
// Thanos' proxy: label sets, time ranges, storeMatch and selector labels.
//
//	go test -tags slicelabels ./fanoutgroups
package fanoutgroups
