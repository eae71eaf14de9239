// Package via carries, in a context, the names of the fan-outs that a call came
// through, so that a fan-out can tell that it is asked by way of itself. Between
// processes store/grpcstore carries them as gRPC metadata.
package via
