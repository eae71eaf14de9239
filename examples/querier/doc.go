// Command querier answers PromQL over StoreAPIs, as thanos query does, and is a
// StoreAPI itself, so that queriers stack.
//
//	querier --endpoint=localhost:10901 --endpoint=localhost:10911 --query.replica-label=replica
package main
