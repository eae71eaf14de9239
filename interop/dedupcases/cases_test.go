package dedupcases

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/dedup"
)

// reported is a case that people reported.
type reported struct {
	threads []thread
	// about is what they saw, made what of the samples is not in the thread but made
	// to fit it; empty if all is.
	about, made string
	// replicas are samples as deduptest writes them, in order of the replica label,
	// with | between chunks that are cut there.
	replicas []string
	probes   []probe
	prefer   string // the replica to come first, if one is preferred
	// stores makes others of those that have one replica each; nil leaves them.
	stores func([]member) []member
	says   string // what the row shows
}

// thread is a public one.
type thread struct {
	repo   string // of thanos-io, "thanos" if empty
	number int
	pull   bool
}

func (t thread) link() string {
	repo, kind, owner := "thanos", "issues", "thanos-io"
	if t.repo != "" {
		repo = t.repo
	}
	if t.pull {
		kind = "pull"
	}
	return fmt.Sprintf("[%s#%d](https://github.com/%s/%s/%s/%d)", repo, t.number, owner, repo, kind, t.number)
}

func issues(numbers ...int) (out []thread) {
	for _, n := range numbers {
		out = append(out, thread{number: n})
	}
	return out
}

func pull(number int) thread { return thread{number: number, pull: true} }

// probe is what is looked at.
type probe struct {
	// Without an expression: the samples that come out for a function.
	fn string
	// expr is evaluated at from, or from there to to in steps; anew evaluates each
	// step as a query of its own. raw lists the samples of a range.
	expr           string
	from, to, step time.Duration
	anew, raw      bool
	// offline looks at the samples that compaction writes; Thanos' default there is
	// chain.
	offline bool
	// The algorithms; penalty and Follow if not said.
	thanos string
	ours   dedup.Algorithm
	// reversed has the stores answer in the reverse order.
	reversed bool
	// within is how far our answers may lie outside of those of the replicas one by
	// one.
	within float64
}

func (p probe) algorithms() (thanos string, ours dedup.Algorithm) {
	thanos, ours = "penalty", dedup.Follow{}
	if p.thanos != "" {
		thanos = p.thanos
	}
	if p.ours != nil {
		ours = p.ours
	}
	return thanos, ours
}

// name is what the table calls a probe.
func (p probe) name() string {
	var s string
	switch {
	case p.offline:
		s = "offline (Thanos: `--deduplication.func=penalty`)"
		if p.thanos == "chain" {
			s = "offline (Thanos: by default)"
		}
	case p.expr == "" && p.fn == "":
		s = "samples"
	case p.expr == "":
		s = "samples for `" + p.fn + "`"
	case p.to == 0:
		s = fmt.Sprintf("`%s` at %s", p.expr, seconds(p.from))
	case p.anew:
		s = fmt.Sprintf("`%s`, asked anew each %s from %s", p.expr, seconds(p.step), seconds(p.from))
	default:
		s = fmt.Sprintf("`%s` from %s, each %s", p.expr, seconds(p.from), seconds(p.step))
	}
	if p.ours != nil {
		s += fmt.Sprintf(", by %s", p.ours)
	}
	if p.reversed {
		s += ", stores in reverse order"
	}
	return s
}

func seconds(d time.Duration) string { return fmt.Sprintf("%gs", d.Seconds()) }

const s = time.Second

var cases = []reported{
	{
		threads: issues(7364, 7656, 1744, 331),
		about:   "Scrapes of one replica time out now and then; the other one is complete, and yet there are gaps.",
		made:    "which scrapes are missing",
		replicas: []string{
			"0s=0 15s=15 60s=60 75s=75 120s=120 135s=135 150s=150 195s=195 210s=210 225s=225",
			"1s..226s/15s=1+15",
		},
		probes: []probe{
			{},
			{offline: true},
			{expr: "irate(x[45s])", from: 45 * s, to: 225 * s, step: 15 * s, within: 0.1},
		},
		says: "Thanos leaves out samples at each change, and `irate` falls to 0 between two of the same time.",
	},
	{
		threads: []thread{pull(8644)},
		about:   "A single missed scrape makes the penalty skip too far, and rates have gaps.",
		made:    "all samples: 30 s apart, one missed, and one that the other replica missed",
		replicas: []string{
			"0s=0 30s=30 60s=60 90s=90 150s=150 180s=180 210s=210 240s=240",
			"0s=0 30s=30 60s=60 90s=90 120s=120 150s=150 180s=180 240s=240",
		},
		probes: []probe{{}, {offline: true}, {expr: "rate(x[1m])", from: 60 * s, to: 240 * s, step: 15 * s, within: 1e-9}},
		says:   "One missed scrape, filled from the replica that has it.",
	},
	{
		threads: issues(981),
		about:   "The target was away for a while, with stale markers. In the long view there are gaps ever after, in the short one there are none.",
		made:    "all samples: 60 s apart; the second replica misses scrapes from 6 min on, the first one from 25 min on",
		replicas: []string{
			"0s..1440s/60s=0+60 1680s..2400s/60s=1680+60",
			"30s..330s/60s=30+60 340s=stale 570s..2370s/60s=570+60",
		},
		probes: []probe{
			{expr: "count_over_time(x[3m])", from: 180 * s, to: 2400 * s, step: 60 * s, within: 1},
			{expr: "count_over_time(x[3m])", from: 890 * s, to: 2400 * s, step: 60 * s, within: 1},
		},
		says: "Which samples there are depends, in Thanos, on where the query begins. Here it does not, and no window has less than 2.",
	},
	{
		threads: issues(587),
		about:   "The second replica has all, the first was started days later. The middle is missing.",
		made:    "all samples; the report has pictures only",
		replicas: []string{
			"300s..600s/15s=300+15",
			"7s..592s/15s=7+15",
		},
		probes: []probe{{}, {expr: "rate(x[1m])", from: 60 * s, to: 600 * s, step: 15 * s, within: 0.1}},
		says:   "Fixed in Thanos, and right here.",
	},
	{
		threads: append(issues(7807), pull(7808)),
		about:   "Receivers hold copies of the same samples. One is restarted, and misses some.",
		made:    "all samples",
		replicas: []string{
			"0s=0 15s=15 75s=75 90s=90 105s=105",
			"0s=0 15s=15 30s=30 45s=45 60s=60 75s=75 90s=90",
		},
		probes: []probe{{}, {thanos: "chain", ours: dedup.Chain{}}},
		says:   "The union is right for copies. Follow fills whole scrapes, Chain anything.",
	},
	{
		threads: []thread{pull(8176)},
		about:   "Thanos' chain raises counters over their resets in each replica, before it merges.",
		made:    "all samples: a copy that lacks the beginning and the end, and has seen no reset",
		replicas: []string{
			"30s=5 45s=15 60s=25",
			"0s=1000 15s=1010 30s=5 45s=15 60s=25 75s=35 90s=45",
		},
		probes: []probe{{expr: "increase(x[2m])", from: 90 * s, thanos: "chain", ours: dedup.Chain{}, within: 30}},
		says:   "Still so in v0.42.4.",
	},
	{
		threads: issues(1326),
		about:   "One replica sees a restart 28 s before the other; `rate` goes from 2.4 to 168.8.",
		made:    "what was before 818 s, at the rate reported",
		replicas: []string{
			"538s..804s/14s=46234+33.6 818s=46906 832s=42 846s=66 860s=66 874s=66 888s=66",
			"538s..804s/14s=46328+33.6 818s=47000 832s=47000 846s=47000 860s=115 874s=115 888s=201",
		},
		probes: []probe{
			{expr: "rate(x[5m])", from: 832 * s, within: 0.01},
			{expr: "rate(x[5m])", from: 846 * s, within: 0.01},
			{expr: "rate(x[5m])", from: 888 * s, within: 0.01},
			{expr: "x[1m]", from: 888 * s, raw: true},
		},
		says: "Fixed in Thanos, by raising counters. Each says what one replica says; ours, what the first does.",
	},
	{
		threads: issues(2401),
		about:   "A restart is counted twice in `rate` over long ranges.",
		made:    "all samples: the first replica is away over the restart, the second one goes soon after",
		replicas: []string{
			"0s..585s/15s=5000+15 690s..1200s/15s=85+15",
			"7s..607s/15s=5007+15 622s..802s/15s=17+15",
		},
		probes: []probe{
			{expr: "resets(x[30m])", from: 1200 * s, within: 0},
			{expr: "increase(x[30m])", from: 1200 * s, within: 30},
			{expr: "max_over_time(x[5m])", from: 1200 * s, within: 0},
		},
		says: "There was one restart. Thanos counts none, since it raises counters.",
	},
	{
		threads: issues(1788),
		about:   "Replicas 7 s apart, a restart, and `rate` is wrong with deduplication only.",
		made:    "what is after 30 s, of which the thread has more",
		replicas: []string{
			"0s=668153 15s=668173 30s=668189 45s=0 60s=20 75s=38",
			"7s=668156 22s=668179 37s=668196 52s=9 67s=29 82s=46",
		},
		probes: []probe{{}, {fn: "rate"}, {expr: "rate(x[2m])", from: 82 * s, within: 0.3}},
		says:   "Thanos begins with one sample of a and goes on with b, and counts more than either of them. Ours says what a says.",
	},
	{
		threads: append(issues(9034), pull(9041)),
		about:   "A counter that goes up by 1 each second, scraped each 30 s, 15 s apart: `rate` is 1, and less where a query begins between the two.",
		replicas: []string{
			"0s..1200s/30s=0+30",
			"15s..1185s/30s=15+30",
		},
		probes: []probe{
			{expr: "rate(x[5m])", from: 600 * s, to: 900 * s, step: 5 * s, anew: true, within: 1e-9},
			{expr: "rate(x[5m])", from: 600 * s, to: 900 * s, step: 5 * s, within: 1e-9},
		},
		says: "Thanos raises b by what a shows first, which has not come out yet. No value is altered here.",
	},
	{
		threads: issues(2890),
		about:   "`rate` and `irate` at the latest time are now and then far too high or too low; 60 s between scrapes.",
		made:    "all samples: a counter that grows by bursts of 600 each minute, which the second replica sees 20 s later",
		replicas: []string{
			"0s..1200s/60s=0+600",
			"20s..1160s/60s=600+600",
		},
		probes: []probe{
			{expr: "rate(x[3m])", from: 600 * s, to: 900 * s, step: 10 * s, anew: true, within: 2.5},
			{expr: "irate(x[3m])", from: 600 * s, to: 900 * s, step: 10 * s, anew: true, within: 1e-9},
		},
		says: "As before, in both directions. Ours is low, too, where the first sample in the range is one of b, which has not seen the burst that a shows right after: the range is three intervals long, and the contract begins with four.",
	},
	{
		threads: append(issues(7341, 2547), pull(7498)),
		about:   "`rate(x[5m])` and `rate(x[5m:1m])` differ, and so does the one without deduplication. Whether a series is a counter is guessed from the function's name.",
		made:    "all samples: 60 s between scrapes, 30 s apart",
		replicas: []string{
			"0s..1200s/60s=0+60",
			"30s..1170s/60s=30+60",
		},
		probes: []probe{
			{expr: "rate(x[5m])", from: 610 * s, to: 900 * s, step: 20 * s, anew: true, within: 1e-9},
			{expr: "rate(x[5m:1m])", from: 610 * s, to: 900 * s, step: 20 * s, anew: true, within: 0.2},
		},
		says: "The subquery sees samples of which Thanos does not know that they are of a counter, and is right.",
	},
	{
		threads: []thread{pull(9021)},
		about:   "`xrate` is not among the function names that Thanos takes for those of counters.",
		made:    "all samples: the second replica begins first, and lags",
		replicas: []string{
			"15s=25 30s=40 45s=55 60s=70",
			"6s=5 21s=20 36s=35 51s=50 66s=65 81s=80 96s=95 111s=110",
		},
		probes: []probe{{fn: "rate"}, {fn: "xrate"}},
		says:   "For `rate`, 115 and 130 are values that no replica had; for `xrate`, they are not raised. Ours needs no function's name.",
	},
	{
		threads: issues(7623),
		about:   "Three replicas, `rate` is 790 instead of 0.31: the first three samples come out of all three replicas.",
		made:    "values of the second and third replica but for those stated; where chunks end, such that the samples reported come out",
		replicas: []string{
			"766.6s=78982 786.6s=78988 | 806.6s=78995 826.6s=79001 846.6s=79007 866.6s=79013 886.6s=79019",
			"767.488s=78982 | 787.488s=78988 807.488s=78995 827.488s=79001 847.488s=79007 867.488s=79013 887.488s=79019",
			"767.413s=78982 | 787.413s=78989 | 807.413s=78995 827.413s=79001 847.413s=79007 867.413s=79013 887.413s=79019",
		},
		probes: []probe{
			{expr: "x[2m]", from: 900 * s, raw: true},
			{expr: "rate(x[2m])", from: 900 * s, within: 0.02},
		},
		says: "Thanos takes chunks of three replicas for one replica's, and gives the samples and the rate reported. Ours knows whose chunks they are.",
	},
	{
		threads: []thread{pull(8085), pull(8430)},
		about:   "The same: `rate` is 1200 instead of 0.46, for the first six samples of a, of which two are another replica's.",
		made:    "what comes after 816 s, the second replica but for its two samples, and where chunks end",
		replicas: []string{
			"720.447s=304528 | 750.447s=304532 780.447s=304536 810.447s=304540 | 840.447s=304541 870.447s=304545",
			"725.97s=304530 | 755.97s=304533 785.97s=304537 | 816.021s=304543 | 845.97s=304544 875.97s=304547",
		},
		probes: []probe{
			{expr: "x[5m]", from: 880 * s, raw: true},
			{expr: "rate(x[5m])", from: 880 * s, within: 0.05},
		},
		says: "As before.",
	},
	{
		threads: []thread{pull(8061)},
		about:   "Scraped 54 ms apart, the later sample being the lower one: a counter seems to fall.",
		made:    "all samples but those at 809.8 s; a chunk that ends there",
		replicas: []string{
			"779.833s=3829920.041 794.833s=3829920.052 809.833s=3829920.063 | 824.833s=3829920.074 839.833s=3829920.085",
			"779.887s=3829920.02 794.887s=3829920.031 | 809.887s=3829920.042 824.887s=3829920.053 839.887s=3829920.064",
		},
		probes: []probe{
			{expr: "x[2m]", from: 840 * s, raw: true},
			{expr: "increase(x[2m:15s])", from: 840 * s, within: 0.05},
		},
		says: "As before: where a chunk ends, Thanos goes on with the other replica's.",
	},
	{
		threads: append(issues(5094), pull(144)),
		about:   "The first penalty is 5 s and each later one twice the distance, whatever the scrape interval is.",
		made:    "all samples: one each second, the first replica misses some at the beginning",
		replicas: []string{
			"0s=0 5s=5 6s=6 7s=7 8s=8 9s=9",
			"0s..9s/1s=0+1",
		},
		probes: []probe{{}},
		says:   "Follow learns the interval from the samples.",
	},
	{
		threads: []thread{pull(7092)},
		about:   "At a change of replica the penalty skips the histogram that has the counter reset hint.",
		made:    "all samples",
		replicas: []string{
			"0s=h100 15s=h120/noreset 30s=h140/noreset 120s=h240/noreset",
			"1s=h100 16s=h120/noreset 31s=h140/noreset 46s=h10/reset 61s=h150/noreset 76s=h170/noreset",
		},
		probes: []probe{
			{fn: "rate"},
			{offline: true},
			{expr: "resets(x[2m])", from: 90 * s, within: 0},
			{expr: "histogram_count(increase(x[2m]))", from: 90 * s, within: 5},
		},
		says: "Thanos counts no reset, since the hint of the sample after it says that there is none. Ours returns the sample, and no hint that is not true of the result.",
	},
	{
		threads: []thread{{repo: "promql-engine", number: 491, pull: true}},
		about:   "A reset of a native histogram is counted twice, since a sample was twice in the engine's buffer.",
		made:    "all samples; with Prometheus' engine, for it is about the samples here",
		replicas: []string{
			"0s=h100 15s=h120/noreset 30s=h5/reset 45s=h25/noreset 60s=h45/noreset",
			"0s=h100 15s=h120/noreset 30s=h5/reset 45s=h25/noreset 60s=h45/noreset",
		},
		probes: []probe{
			{expr: "resets(x[2m])", from: 60 * s, within: 0},
			{expr: "histogram_count(increase(x[2m]))", from: 60 * s, within: 1e-9},
		},
		says: "No sample comes out twice.",
	},
	{
		threads: issues(6705, 7033),
		about:   "A gauge is 3 in one replica and 5 in the other. The answer is 3 at most times, and 5 before or after some time at others.",
		made:    "when they were scraped, and where chunks end",
		replicas: []string{
			"0s=3 30s=3 60s=3 90s=3 | 120s=3 150s=3",
			"10s=5 40s=5 70s=5 | 100s=5 130s=5 160s=5",
		},
		probes: []probe{
			{expr: "x[3m]", from: 170 * s, raw: true},
			{expr: "x[3m]", from: 170 * s, raw: true, reversed: true},
		},
		says: "Chunks of both replicas are one series to Thanos, which goes on with the one that comes next.",
	},
	{
		threads: issues(707),
		about:   "A server with a short interval beside one with a long interval and memory: the former is to be preferred wherever it has samples.",
		made:    "all samples; a scrapes each 2 min, b each 30 s and is down for 5 min",
		prefer:  "b",
		replicas: []string{
			"12s..612s/120s=12+120",
			"0s..120s/30s=0+30 420s..600s/30s=420+30",
		},
		probes: []probe{{}, {expr: "count_over_time(x[2m])", from: 480 * s, to: 600 * s, step: 30 * s}},
		says:   "With `PreferReplicas`, b comes first wherever it has samples.",
	},
	{
		threads: []thread{{repo: "kube-thanos", number: 290}},
		about:   "Offline, Thanos' default for replicas of Prometheus is to chain them.",
		made:    "all samples: the later one is behind",
		replicas: []string{
			"0s=100 15s=115 30s=130 45s=145",
			"4s=98 19s=113 34s=128 49s=143",
		},
		probes: []probe{{offline: true, thanos: "chain"}, {offline: true}},
		says:   "Chain is for copies. Follow is for replicas, online and offline.",
	},
	{
		threads: append(issues(6257), pull(6317), pull(6706)),
		about:   "Series come twice, deduplicated and not: a store adds its external label after it sorted. `x{ext=\"label\"}` then stands before `x{alocal=\"label\",ext=\"label\"}`.",
		replicas: []string{
			"60s=1",
			"61s=1",
		},
		stores: func(m []member) []member {
			for i := range m {
				c := m[i].series[0].chunks
				m[i].unsorted = true
				m[i].series = []memberSeries{
					{labels.FromStrings("__name__", "x", "ext", "label", replicaLabel, m[i].name), c},
					{labels.FromStrings("__name__", "x", "alocal", "label", "ext", "label", replicaLabel, m[i].name), c},
				}
			}
			return m
		},
		probes: []probe{{expr: "count(x)", from: 70 * s, within: 0}},
		says:   "Thanos' stores sort now. Its querier takes one that does not at its word, and may return series twice; ours names it, and leaves out what comes too late. `store.WithSorting` sorts for a store that cannot.",
	},
	{
		threads: append(issues(5719), pull(5974), pull(5796)),
		about:   "One store has both replicas of its series, and the replica label sorts before others.",
		replicas: []string{
			"60s=1",
			"60s=1",
		},
		stores: func(m []member) []member {
			one := member{name: "one"}
			for _, r := range []string{"1", "2"} {
				for _, z := range []string{"1", "2"} {
					one.series = append(one.series, memberSeries{
						labels: labels.FromStrings("__name__", "x", replicaLabel, r, "z", z), chunks: m[0].series[0].chunks,
					})
				}
			}
			old := one
			old.name, old.old = "two", true
			return []member{one, old}
		},
		probes: []probe{{expr: "count(x)", from: 60 * s, within: 0}, {expr: "count by (z) (x)", from: 60 * s, within: 0}},
		says:   "Right in Thanos, which sorts such answers. Two stores have four series each, of two replicas of two; one of them removes the replica label itself.",
	},
}
