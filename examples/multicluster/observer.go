package main

import (
	"fmt"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// startGateways starts the store gateways, one for the bucket of each cluster.
func (t *topology) startGateways() (err error) {
	for _, c := range t.clusters() {
		if c.gateway, err = t.startGateway(c); err != nil {
			return fmt.Errorf("start store gateway of %s: %w", c.name, err)
		}
	}
	return nil
}

// startTop makes the top querier: over the observer's own sidecars, over the store
// gateways, and over the observees.
func (t *topology) startTop() error {
	members, err := t.dialSidecars(t.hub)
	if err != nil {
		return err
	}
	for i, c := range t.clusters() {
		if t.broken == breakGateway && i == 2 {
			continue
		}
		m, err := t.dial("gateway "+c.name, c.gateway, grpcstore.ClientOptions{})
		if err != nil {
			return err
		}
		members = append(members, m)
	}
	for _, c := range t.observees {
		m, err := t.dialObservee(c, "querier "+c.name, t.certs.observer)
		if err != nil {
			return err
		}
		members = append(members, m)
	}
	if t.top, err = t.fanOut(members); err != nil {
		return err
	}
	opts := query.Options{ReplicaLabels: []string{replicaLabel}}
	if t.broken == breakReplicaLabel {
		opts.ReplicaLabels = nil
	}
	if t.querier, err = query.New(t.top, &opts); err != nil {
		return err
	}
	if t.broken == breakMember {
		t.observees[1].link.cut()
		_ = t.top.Sync(t.ctx) // It says what it is for.
	}
	return nil
}
