// Command bespokegateway serves a directory of CSV files as a StoreAPI: what a
// gateway to data that is not Prometheus' own looks like.
//
//	bespokegateway --csv.dir=testdata --external-label=source=csv
//
// Each file is a metric and is named after it: temperature_celsius.csv. Its
// first column is a time (RFC 3339), ascending; every other column is a series,
// whose label "column" is the column's name. All that is its own is gateway.go;
// TLS (--grpc-server-tls-cert and the like), probes and metrics come with the
// package that the examples share.
package main
