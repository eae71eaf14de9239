package main

import (
	"fmt"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store/fanout"
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

// startTop starts the top querier: over the observer's own sidecars, over the store
// gateways, and over the observees.
func (t *topology) startTop() (err error) {
	t.observer, err = t.launch("top querier", "", func(u *unit) error {
		members, err := u.dialAll()
		if err != nil {
			return err
		}
		top, err := u.fanOut(members)
		if err != nil {
			return err
		}
		opts := query.Options{ReplicaLabels: []string{replicaLabel}}
		if t.broken == breakReplicaLabel {
			opts.ReplicaLabels = nil
		}
		q, err := query.New(top, &opts)
		if err != nil {
			return err
		}
		t.top.Store(top)
		t.querier.Store(q)
		if t.http == "" {
			return nil
		}
		return u.serveHTTP(q)
	})
	if t.broken == breakMember {
		t.observees[1].querier.link.cut()
		_ = t.top.Load().Sync(t.ctx) // It says what it is for.
	}
	return err
}

// dialAll returns whom the top querier asks.
func (u *unit) dialAll() ([]fanout.Member, error) {
	t := u.topology
	members, err := u.dialSidecars(t.hub)
	if err != nil {
		return nil, err
	}
	for i, c := range t.clusters() {
		if t.broken == breakGateway && i == 2 {
			continue
		}
		m, err := u.dial("gateway "+c.name, c.gateway.addr(), grpcstore.ClientOptions{})
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	for _, c := range t.observees {
		m, err := u.dialObservee(c, "querier "+c.name, t.certs.observer)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}
