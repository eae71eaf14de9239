// Package httpapi is Prometheus' HTTP API over a query.Querier, with the
// parameters that Thanos adds: what Grafana, promtool, a query frontend and a
// person with curl talk to.
//
//	h, err := httpapi.New(querier, nil)
//	if err != nil {
//		return err
//	}
//	return http.ListenAndServe("localhost:10902", h)
//
// # Endpoints
//
//	GET, POST  /api/v1/query                  query time timeout limit lookback_delta stats
//	                                          max_source_resolution dedup replicaLabels[]
//	                                          partial_response storeMatch[] require[]
//	                                          shard_info engine analyze
//	GET, POST  /api/v1/query_range            the same, with start end step for time
//	GET, POST  /api/v1/series                 match[] start end limit dedup replicaLabels[]
//	                                          partial_response storeMatch[] require[]
//	GET, POST  /api/v1/labels                 match[] start end limit
//	                                          partial_response storeMatch[] require[]
//	GET        /api/v1/label/{name}/values    the same; the name may be escaped as U__...
//	GET        /api/v1/status/buildinfo
//	OPTIONS    /api/v1/...                    if Options.AllowOrigin is set
//	GET        /-/healthy, /-/ready           200, or 503 if Options.Ready says so
//	GET        /metrics                       if Options.Gatherer is set
//
// Where Prometheus and Thanos have a parameter it means what it means there:
//
//   - Times are Unix seconds with fractions, or RFC 3339; durations are seconds
//     or as in PromQL. The range of series and label queries is all time if not
//     given. A step that is not given is a 250th of the range in whole seconds, at
//     least Options.DefaultStep.
//   - dedup=false keeps replicas apart. replicaLabels[] replaces the Querier's
//     replica labels; an empty one alone stands for none. Label names and values
//     are never deduplicated, so that replica labels can be seen. How replicas are
//     merged is the Querier's to say: by dedup.Follow, unless it was given another
//     algorithm, where Thanos has dedup.Penalty.
//   - partial_response=false fails a query that a store fails to answer its part
//     of.
//   - storeMatch[] are selectors of which "__address__" is a store's name: only
//     stores that match one of them are asked.
//   - require[], which is not in Thanos, are selectors of external labels:
//     require[]={cluster="eu"} fails a query unless there are stores with such
//     labels and all of them have answered whole, whatever partial_response is.
//   - max_source_resolution is the coarsest downsampled data to use, a duration
//     or "auto".
//   - shard_info is a JSON object as in Thanos: shard_index, total_shards, by,
//     labels.
//   - stats=all adds statistics of each step to data.stats, anything else those
//     of the query.
//   - analyze=true adds data.analysis with what each store did, in the fields
//     that Thanos has and status, reason, error, warnings and firstSeries; and
//     replicas, which has labels, series and samples of each replica that
//     deduplicated series are of, and unidentifiedSeries if there are any that had
//     lost what tells their replicas apart. See store.ReplicaOutcome.
//
// Parameters that nobody knows are ignored. The header THANOS-TENANT, or that of
// Options.TenantHeader, and X-Request-ID travel with what stores are asked.
//
// # Answers
//
// The body is a JSON object with status, data, errorType, error, warnings and
// infos. warnings are what stores warned of, then what the engine warns of;
// infos are what it remarks, as in Prometheus. Thanos has those among the
// warnings too, and no infos. An answer of which data is known to be missing, or
// that a limit cut off, has Cache-Control: no-store, as errors have. Values are
// written as they are encoded, so that an answer is not held in memory twice.
//
//	400 bad_data     the parameters make no sense, the expression does not parse
//	422 execution    the query failed; with partial_response=false also a store,
//	                 and a required store anyway
//	503 timeout      it took longer than it may
//	503 canceled     the client gave up, or the server stops
//	500 internal     anything that is not the query's fault
//
// # What is not done
//
// There is no authentication, no TLS and no path prefix: net/http and its
// handlers do that. /api/v1/stores is not here, since a Querier does not know whom
// its Store asks: examples/querier makes it of fanout.Store.Health. Nor are rules,
// targets, metadata, exemplars, and a page to look at.
package httpapi
