package archtest_test

import (
	"fmt"
	"slices"
	"testing"
)

// layer is one row of the architecture: what the packages that match may import
// of the module's own packages, in code that is not a test.
type layer struct {
	packages []string // Patterns, as matches takes them.
	may      []string // Patterns; packages of one row do not imply each other.
	reason   string
}

// base is what everything may build on.
var base = []string{".", "tlsutil", "internal/encoded", "internal/xor", "internal/aggr", "internal/recode", "internal/cache", "internal/via", "internal/metric", "internal/promcompat/..."}

// layers is the table of the design, bottom first. The first row that matches a
// package holds for it. Rows for packages that do not exist yet are how they
// have to fit in.
var layers = []layer{
	// L0: the ground.
	{
		packages: []string{".", "tlsutil", "internal/promcompat/..."},
		reason:   "everything may import these, and a program may want them alone",
	},
	{
		packages: []string{"internal/encoded", "internal/xor", "internal/aggr", "internal/cache", "internal/via"},
		may:      []string{"internal/promcompat"},
		reason:   "formats and memory: they know bytes, not what is done with them",
	},

	{
		packages: []string{"internal/recode"},
		may:      []string{"internal/promcompat", "internal/xor"},
		reason:   "blocks and deduplication make the same chunks, and do not know each other",
	},
	{
		packages: []string{"internal/metric"},
		reason:   "everybody registers metrics, and nobody may panic",
	},

	// L1: three subjects that do not know each other, and the wire.
	{
		packages: []string{"store"},
		may:      base,
		reason:   "the interface that everything meets at must not know who implements it or who asks",
	},
	{
		packages: []string{"dedup"},
		may:      base,
		reason:   "the same algorithm runs over a query and over a block, so it knows neither stores nor blocks",
	},
	{
		packages: []string{"block"},
		may:      base,
		reason:   "what lies in a bucket is read by stores, compactors and shippers alike",
	},
	{
		packages: []string{"internal/wire"},
		may:      concat(base, "store"),
		reason:   "messages are decoded straight into the types of store, and gRPC is somebody else's",
	},

	{
		packages: []string{"internal/peer"},
		may:      concat(base, "store"),
		reason:   "the two ends of the StoreAPI must agree on what is beside the messages",
	},
	{
		packages: []string{"internal/rechunk"},
		may:      concat(base, "store"),
		reason:   "samples become the chunks of the StoreAPI, wherever they come from",
	},
	{
		packages: []string{"internal/remoteproto"},
		may:      concat(base, "store"),
		reason:   "both ends of remote read speak it, and neither is the other",
	},
	{
		packages: []string{"internal/promapi"},
		may:      concat(base, "store"),
		reason:   "the Stores that read from Prometheus' HTTP API share its client, not each other",
	},

	{
		packages: []string{"internal/indexheader"},
		may:      concat(base, "block"),
		reason:   "what is kept of an index is made from a block in a bucket, for whoever reads it from there",
	},

	// Kits for the tests of those who implement an interface. They come before
	// the packages they stand beside, whose rows would match them too.
	{
		packages: []string{"store/storetest"},
		may:      concat(base, "store", "store/grpcstore", "internal/wire"),
		reason:   "it checks a Store in process and behind an address, and what is on the wire",
	},
	{
		packages: []string{"block/blocktest"},
		may:      concat(base, "block"),
		reason:   "it makes blocks for the tests of everything that reads them",
	},
	{
		packages: []string{"dedup/deduptest"},
		may:      concat(base, "dedup"),
		reason:   "it checks an algorithm, ours or a user's, against the contract",
	},

	// L2: each on one subject.
	{
		packages: []string{"store/bucketstore"},
		may:      concat(base, "store", "block", "internal/wire", "internal/indexheader"),
		reason:   "L3: the one Store that reads blocks from a bucket",
	},
	{
		packages: []string{"store/bucketstore/memcached"},
		may:      base,
		reason:   "a cache knows keys and values, not what they are of; only who uses it links the client",
	},
	{
		packages: []string{"store/promstore", "store/promqlstore"},
		may:      concat(base, "store", "internal/wire", "internal/rechunk", "internal/remoteproto", "internal/promapi"),
		reason:   "a Store is useful alone; those that speak Prometheus' protocols share how, not each other",
	},
	{
		packages: []string{"store/tsdbstore"},
		may:      concat(base, "store", "internal/wire", "internal/rechunk"),
		reason:   "a Store is useful alone; samples that it gets become chunks",
	},
	{
		packages: []string{"store/fanout", "store/memstore"},
		may:      concat(base, "store", "internal/wire"),
		reason:   "a Store is useful alone: it knows no other Store and no gRPC, though it may hand out series encoded",
	},
	{
		packages: []string{"store/remoteread"},
		may:      concat(base, "store", "internal/wire", "internal/rechunk", "internal/remoteproto"),
		reason:   "it serves any one Store, over HTTP alone",
	},
	{
		packages: []string{"store/grpcstore/snappy"},
		reason:   "importing it has a process-wide effect, so it brings nothing else along",
	},
	{
		packages: []string{"store/grpcstore/discovery"},
		may:      concat(base, "store", "store/grpcstore", "store/fanout"),
		reason:   "it yields a fan-out's members, each a connection of grpcstore: neither of the two knows the other",
	},
	{
		packages: []string{"store/grpcstore/..."},
		may:      concat(base, "store", "store/grpcstore", "internal/wire", "internal/peer"),
		reason:   "the transport of one Store; snappy is imported by the program that wants it, never by us",
	},
	{
		packages: []string{"store/thanosstore"},
		may:      concat(base, "store", "internal/wire", "internal/peer"),
		reason:   "the one bridge to Thanos' own Go types",
	},
	{
		packages: []string{"downsample", "block/shipper"},
		may:      concat(base, "block"),
		reason:   "work on one block at a time; which blocks is the compactor's or the TSDB's to say",
	},

	// L3: the subjects meet.
	{
		packages: []string{"query"},
		may:      concat(base, "store", "dedup"),
		reason:   "PromQL over any one Store; where its series come from is the Store's business",
	},
	{
		packages: []string{"compact/internal/step"},
		reason:   "a test refuses changes of the directory by way of the context, and who makes them knows no test",
	},
	{
		packages: []string{"compact/faults"},
		reason:   "it has nothing but tests",
	},
	{
		packages: []string{"compact"},
		may:      concat(base, "block", "dedup", "downsample", "compact/internal/step"),
		reason:   "it works on a bucket and serves nobody",
	},

	// L4: faces of the querier.
	{
		packages: []string{"query/querygrpc"},
		may:      concat(base, "store", "query", "store/grpcstore", "internal/wire"),
		reason:   "the query API over gRPC shares connection, codec and TLS with the StoreAPI's",
	},
	{
		packages: []string{"query/ui"},
		may:      concat(base, "store", "query", "query/httpapi", "store/grpcstore", "store/fanout"),
		reason:   "it shows what the querier and its stores say of themselves",
	},
	{
		packages: []string{"query/..."},
		may:      concat(base, "store", "query"),
		reason:   "each is a way to reach a querier, and none needs another",
	},

	// L5: programs.
	{
		packages: []string{"examples/..."},
		may:      []string{".", "tlsutil", "store/...", "block/...", "downsample", "dedup/...", "query/...", "compact", "examples/...", "internal/promcompat/..."},
		reason:   "an example imports what a user can import; only the version drift that a user's program does not have is internal",
	},

	// Beside the layers: what is only there for this repository.
	{
		packages: []string{"internal/archtest", "internal/ci/..."},
		may:      []string{"internal/ci/..."},
		reason:   "checks and tools of the repository look at the packages from outside",
	},
}

func concat(patterns []string, more ...string) []string {
	return append(slices.Clone(patterns), more...)
}

// layerOf returns the row for a package, or nil.
func layerOf(rows []layer, rel string) *layer {
	for i := range rows {
		if matchesAny(rows[i].packages, rel) {
			return &rows[i]
		}
	}
	return nil
}

// checkLayers returns one line for each import that no row allows and each
// package without a row.
func checkLayers(g graph, rows []layer) []string {
	var bad []string
	for _, rel := range g.ours() {
		row := layerOf(rows, rel)
		if row == nil {
			bad = append(bad, fmt.Sprintf("%s is in no layer: give it a row in layers_test.go, with the reason", rel))
			continue
		}
		for _, imp := range g.our(rel).Imports {
			to, ok := relative(imp)
			if !ok || matchesAny(row.may, to) {
				continue
			}
			bad = append(bad, fmt.Sprintf("%s imports %s: it may import %v, because %s", rel, to, row.may, row.reason))
		}
	}
	return bad
}

func TestLayers(t *testing.T) {
	t.Parallel()
	for _, line := range checkLayers(mustGraph(t), layers) {
		t.Error(line)
	}
}

// TestLayersCatch breaks the layers in the ways that the table is there for.
func TestLayersCatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		from, to string
		ok       bool
	}{
		{name: "the root imports a part", from: ".", to: "store"},
		{name: "store imports an implementation", from: "store", to: "store/memstore"},
		{name: "store imports dedup", from: "store", to: "dedup"},
		{name: "dedup imports store", from: "dedup", to: "store"},
		{name: "block imports store", from: "block", to: "store"},
		{name: "a Store imports another", from: "store/promstore", to: "store/memstore"},
		{name: "fan-out imports a transport", from: "store/fanout", to: "store/grpcstore"},
		{name: "grpcstore registers a compressor", from: "store/grpcstore", to: "store/grpcstore/snappy"},
		{name: "the querier imports a Store", from: "query", to: "store/fanout"},
		{name: "httpapi imports gRPC", from: "query/httpapi", to: "store/grpcstore"},
		{name: "the compactor imports a Store", from: "compact", to: "store"},
		{name: "an example imports internals", from: "examples/querier", to: "internal/wire"},
		{name: "a kit is linked by what it tests", from: "store/memstore", to: "store/storetest"},
		{name: "a package nobody planned", from: "util", to: "."},
		{name: "store on the ground", from: "store", to: "internal/encoded", ok: true},
		{name: "grpcstore on the wire", from: "store/grpcstore", to: "internal/wire", ok: true},
		{name: "the querier deduplicates", from: "query", to: "dedup", ok: true},
		{name: "an example imports all", from: "examples/multicluster", to: "store/fanout", ok: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			// Only the importer is judged: the imported one may lack a row.
			g := testGraph(map[string][]string{tc.from: {tc.to}})
			bad := checkLayers(g, append(slices.Clone(layers), layer{packages: []string{tc.to}}))
			if got := len(bad) == 0; got != tc.ok {
				t.Errorf("allowed is %v, want %v: %v", got, tc.ok, bad)
			}
		})
	}
}

// TestLayersTable: a row that does not say why is a row that nobody can argue
// with, and one behind another that matches the same is never read.
func TestLayersTable(t *testing.T) {
	t.Parallel()
	for i, row := range layers {
		if row.reason == "" || len(row.packages) == 0 {
			t.Errorf("row %v: no reason or no packages", row.packages)
		}
		for _, p := range row.packages {
			if first := layerOf(layers[:i], p); first != nil {
				t.Errorf("row %v is shadowed by %v", row.packages, first.packages)
			}
		}
	}
}
