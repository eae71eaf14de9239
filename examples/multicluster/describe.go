package main

import (
	"fmt"
	"io"
	"time"
)

// describe prints what runs where.
func (t *topology) describe(w io.Writer) {
	for _, c := range t.clusters() {
		fmt.Fprintf(w, "cluster %s\n", c.name)
		for i, r := range c.replicas {
			fmt.Fprintf(w, "  replica %s        prometheus %s, sidecar %s\n", r.external.Get(replicaLabel), r.url(), c.sidecars[i].addr())
		}
		fmt.Fprintf(w, "  bucket           %s\n", c.bucket.Name())
		fmt.Fprintf(w, "  compactor        %d compactions, %d downsamplings, %d blocks deleted\n", c.report.Compactions, c.report.Downsamplings, c.deleted)
		if c.gateway != nil {
			fmt.Fprintf(w, "  store gateway    %s, on the observer\n", c.gateway.addr())
		}
		if c.querier != nil {
			fmt.Fprintf(w, "  querier, mTLS    %s as %s\n", c.querier.addr(), serverName(c.name))
		}
	}
	fmt.Fprintf(w, "top querier        in this process; the CA of all is %s\n", t.certs.ca)
	fmt.Fprintf(w, "history            %s to %s\n", t.start.UTC().Format(time.DateTime), t.end.UTC().Format(time.DateTime))
}
