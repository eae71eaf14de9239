// Package thanosstore is the bridge to code that is written against Thanos' own
// Go types: [FromServer] and [FromClient] make a Store of a storepb.StoreServer
// or StoreClient, [NewServer] serves a Store as both storepb.StoreServer and
// infopb.InfoServer, and [NewClient] puts a Store among the members of Thanos'
// proxy, in process.
//
// The smallest complete use, Thanos' view of a local TSDB as a Store:
//
//	s := thanosstore.FromServer(thanos.NewTSDBStore(logger, db, component.Rule, external), nil)
//	for series, err := range store.All(ctx, s, req, nil) { ... }
//
// Between processes neither is needed: store/grpcstore speaks to Thanos, and
// links nothing of it. This is the only package that does. It costs its importer
// some 30 modules, and entries in the process-wide registry of gogo/protobuf,
// which Thanos' generated types make when they are imported. They collide with
// nothing of thanoskit's, which registers nothing.
//
// # Memory
//
// Thanos turns its labels into labels.Labels, and back, by casting memory, which
// is right with the build tag slicelabels only; under any other layout it reads
// what is not there. Its decoders return strings that are views of the message.
// Nothing of that is used here. From Thanos, each message is copied once, and
// may change as soon as Send or Recv is over. To Thanos, labels are rebuilt
// string by string, and chunks are handed over, which their Store gave up. So
// this package works with every build tag. What the Thanos code on the other
// side does is its own affair: most of what lies above package storepb is right
// with slicelabels only.
//
// # What is mapped
//
// Every field of Thanos' requests and answers, both ways, but for what only one
// side has: QueryHints.SeriesHashLabel, StoreMatch, Require and Outcome are not
// in storepb; its deprecated step and range are ignored, its deprecated switch
// against partial responses is Abort. Durations are whole milliseconds. Tenant
// and Metadata travel in the context, as gRPC metadata, "thanos-tenant" being
// the tenant. A chunk's hash goes along where chunks do without being looked at,
// up to store/grpcstore; none is made: it is an optional help, and readers that
// want it compute it.
//
// # Order
//
// Order is checked both ways, and a panic of either side is an error of the call.
// Thanos' stores also leave undone what they do not announce; see
// [store.WithExternalLabels] for what does it in their place.
package thanosstore
