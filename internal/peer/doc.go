// Package peer is what the two ends of the StoreAPI tell each other beside its
// messages: by codes, which condition an error is; by its words, whether a warning
// is one of PromQL; and as gRPC metadata, who a request is made for and which
// fan-outs it came through.
//
// It is for store/grpcstore and store/thanosstore, which must agree on it.
package peer
