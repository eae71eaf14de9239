package main

// Ways to break the topology.
const (
	breakReplicaLabel = "replica-label" // the top querier does not know the replica label
	breakMember       = "member"        // an observee's querier cannot be reached
	breakHistory      = "history"       // both replicas have their holes at the same time
	breakScrape       = "scrape"        // nothing is scraped
	breakUpload       = "upload"        // sidecars do not upload
	breakGateway      = "gateway"       // nobody reads an observee's bucket
	breakDownsample   = "downsample"    // compactors do not downsample
	breakRetention    = "retention"     // compactors keep everything
	breakCut          = "cut"           // what is said to be cut off is not
	breakCert         = "cert"          // observees let in anybody
	breakCA           = "ca"            // observees trust another CA, too
)

var breaks = []string{
	breakReplicaLabel, breakMember, breakHistory, breakScrape, breakUpload, breakGateway,
	breakDownsample, breakRetention, breakCut, breakCert, breakCA,
}
