package conformance

// expectation is what is known of a check in some components: that it fails, or
// is skipped, and why. The rest of them passes it.
type expectation struct {
	check      string
	components []string
	result     string // "FAIL" or "skip"
	// says is part of the reason that the kit gives.
	says string
	// why is the reason in docs/conformance.md.
	why string
}

// What the checks print.
const (
	fails   = "FAIL"
	skipped = "skip"
	passes  = "ok"
)

var (
	thanosSidecar = []string{"sidecar"}
	overSidecar   = []string{"sidecar", "querier"}
	gateway       = []string{"store-gateway"}
	ofIndexes     = []string{"store-gateway", "receive"}
	thanosQuerier = []string{"querier"}
	receiver      = []string{"receive"}
	proxies       = []string{"querier", "receive"}
	rawOnly       = []string{"sidecar", "receive", "thanoskit-sidecar"}
)

var expectations = []expectation{
	{
		"matchers-external", thanosSidecar, fails, "no matchers specified (excluding external labels)",
		"Matchers on external labels are taken away before Prometheus is asked; if none are left, the request is refused.",
	},
	{
		"matchers-external", gateway, fails, "0 series sent, want",
		"Matchers on external labels are taken away before a block is asked; if none are left, nothing is found, without a warning.",
	},
	{
		"matchers-external", thanosQuerier, fails, "0 series sent, want",
		"The refusal of the sidecar behind it becomes a warning, and the store gateway finds nothing.",
	},
	{
		"matchers-external", receiver, fails, "0 series sent, want",
		"Matchers on external labels are taken away before a TSDB is asked; if none are left, it refuses, and that becomes a warning.",
	},
	{
		"matchers-none", thanosSidecar, fails, "no matchers specified (excluding external labels)",
		"A request without matchers is refused.",
	},
	{
		"matchers-none", gateway, fails, "0 series sent, want",
		"A request without matchers finds nothing, without a warning.",
	},
	{
		"matchers-none", proxies, fails, "no matchers specified (excluding selector labels)",
		"A request without matchers is refused.",
	},
	{
		"limit", ofIndexes, fails, "not the first series",
		"The limit cuts what an index yields, before series are sorted by the labels that they are sent with.",
	},
	{
		"limit-replica-labels", ofIndexes, fails, "not the first series",
		"As limit: replica labels are removed after the cut.",
	},
	{
		"sharding-limit", ofIndexes, fails, "0 series sent of",
		"The limit is applied before the series of other shards are left out.",
	},
	{
		"label-values-no-label", gateway, fails, "want invalid request",
		"A request for the values of no label is answered with none.",
	},
	{
		"label-queries-limit", thanosSidecar, fails, "want 13 of 13",
		"Over a Prometheus that states no version, as one built with plain go build does, or one before 2.24, the sidecar answers from as many series as the limit says.",
	},
	{
		"label-queries-limit", proxies, fails, "want 13 of 13",
		"A label name that an external label overrides comes twice from a sidecar or a TSDB, and counts twice.",
	},
	{
		"skip-chunks-replica-labels", overSidecar, fails, "was sent and should not be",
		"When chunks are not asked for, the sidecar removes replica labels from external labels only; queriers rely on it, since it announces that it removes them.",
	},
	{
		"sharding-skip-chunks", overSidecar, fails, "which belongs to shard",
		"When chunks are not asked for, the sidecar sends the series of all shards; queriers rely on it, since it announces that it shards.",
	},
	{
		"label-queries-replica-labels", []string{"sidecar", "querier", "receive"}, fails, "was sent, which no series has",
		"In label names, the sidecar, and the TSDB of a receiver, remove replica labels from external labels only.",
	},
	{"resolution-coarsest", rawOnly, skipped, "it has raw data only", rawWhy},
	{"resolution-finer", rawOnly, skipped, "it has raw data only", rawWhy},
	{"resolution-gaps", rawOnly, skipped, "it has raw data only", rawWhy},
	{"aggregates", rawOnly, skipped, "it has raw data only", rawWhy},
	{"aggregates-others", rawOnly, skipped, "it has raw data only", rawWhy},
}

const rawWhy = "A Prometheus, or a TSDB, has no downsampled data."
