package fanout

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// reach is what of a request decides which members are asked, and how.
type reach struct {
	mint, maxt           int64
	matchers             []*labels.Matcher
	withoutReplicaLabels []string
	shard                *store.Shard
	skipChunks           bool
	storeMatch           [][]*labels.Matcher
	metrics              [][]string // of the matchers; see metricNames
}

// match sets the matchers that members have to answer for. It reports whether
// the fan-out's selector labels satisfy the others.
func (r *reach) match(f *Store, ms []*labels.Matcher) (ok bool) {
	r.matchers, ok = f.selected(ms)
	r.metrics = metricNames(r.matchers)
	return ok
}

// admission says whether a logical member is to be asked.
type admission struct {
	// candidates may be asked, in this order. If there are none, one of the others
	// says why.
	candidates []candidate
	pruned     string
	err        error
	removed    bool // it is as if it were not there

	labelSets []labels.Labels // that it announced
}

// candidate is a member that may be asked.
type candidate struct {
	member *member
	store  store.Store
	spare  bool // it is asked only if all others fail

	load   int       // calls that it runs
	failed time.Time // when it failed, if that was lately
}

// verdict is what is known of one member says of a request.
type verdict uint8

const (
	wanted  verdict = iota // to be asked
	strict                 // unhealthy, but to be asked if need be
	failing                // unhealthy, and may hold what is wanted
	pruned
	removed
	unmatched // pruned by storeMatch
)

// admits judges a member by what is known of it. The reason is that of pruned.
//
// A member that did not describe itself is not missed if the external labels
// that it announced last do not match. Its time range, and its metrics, may have
// moved on.
func (m *member) admits(h *Health, r *reach) (v verdict, reason string) {
	switch {
	case h.Removed:
		return removed, ""
	case !m.matchedBy(r.storeMatch):
		return unmatched, store.PrunedByStoreMatch
	case h.Err == nil:
		if _, reason = h.Info.MayHold(r.mint, r.maxt, r.matchers); reason != "" {
			return pruned, reason
		}
		if !mayHoldMetric(m.whole, r.metrics) {
			return pruned, store.PrunedByMetric
		}
		return wanted, ""
	case !h.InfoTime.IsZero():
		if _, reason = h.Info.MayHold(math.MinInt64, math.MaxInt64, r.matchers); reason != "" {
			return pruned, reason
		}
	}
	if m.strict && m.invalid == nil {
		return strict, ""
	}
	return failing, ""
}

// votes are the verdicts on the replicas of a logical member.
type votes struct {
	wanted, spares []candidate
	strict         bool    // one of the spares is to be asked whatever else
	errs           []error // of those that are failing
	once           bool    // one of those was healthy once
	// Why replicas were pruned, the first of each kind: those that are healthy,
	// those that are not, and those that are not selected. Empty if there are none.
	pruned, prunedOnce, unmatched string
}

// vote counts the verdict on one replica.
func (l *logical) vote(v *votes, h *Health, c candidate, verdict verdict, reason string) {
	switch verdict {
	case wanted:
		v.wanted = append(v.wanted, c)
	case strict:
		c.spare, v.strict = true, true
		v.spares = append(v.spares, c)
	case failing:
		v.errs = append(v.errs, h.Err)
		v.once = v.once || !h.InfoTime.IsZero()
		if l.declared { // one that is by itself is not asked
			c.spare = true
			v.spares = append(v.spares, c)
		}
	case pruned:
		if h.Err == nil {
			v.pruned = cmp.Or(v.pruned, reason)
		}
		v.prunedOnce = cmp.Or(v.prunedOnce, reason)
	case unmatched:
		v.unmatched = reason
	case removed:
	}
}

// admit judges a logical member. known is what is known of each replica; stale
// is nil, or says which of that is out of date.
//
// A group is pruned if a healthy replica is, and none may hold what is wanted:
// replicas differ for a while, by what they have loaded already. One that is
// unhealthy is a spare, for the case that those that seem healthy all fail. If
// none is healthy, those that were are believed what they said of labels.
func (l *logical) admit(known []Health, stale []bool, r *reach, suspectSince time.Time) admission {
	var v votes
	for i, m := range l.replicas {
		h := &known[i]
		verdict, reason := m.admits(h, r)
		if stale != nil && stale[i] && (verdict == wanted || verdict == strict) {
			verdict = failing
		}
		l.vote(&v, h, candidate{member: m, store: m.store(&h.Info, r)}, verdict, reason)
	}
	a := admission{labelSets: l.labelSets(known)}
	switch {
	case len(v.wanted) > 0:
		if l.declared {
			l.balance.order(v.wanted, suspectSince)
		}
		a.candidates = v.wanted
		a.candidates = append(a.candidates, v.spares...)
	case v.pruned != "":
		a.pruned = v.pruned
	case v.strict:
		a.candidates = v.spares
	case len(v.errs) > 0 && (v.once || v.prunedOnce == ""):
		a.err = l.defeat(opInfo, v.errs)
	default:
		a.pruned = cmp.Or(v.prunedOnce, v.unmatched)
		a.removed = a.pruned == ""
	}
	return a
}

// labelSets returns what the logical member announced: of a group, what its
// healthy replicas did, or if there are none, all of them.
func (l *logical) labelSets(known []Health) []labels.Labels {
	if !l.declared {
		return known[0].Info.LabelSets
	}
	speak := speakers(known)
	first := known[speak[0]].Info.LabelSets
	same := !slices.ContainsFunc(speak, func(i int) bool {
		return !slices.EqualFunc(known[i].Info.LabelSets, first, labels.Equal)
	})
	if same {
		return first
	}
	sets := labelSets{seen: map[string]struct{}{}}
	for _, i := range speak {
		sets.add(known[i].Info.LabelSets)
	}
	return sets.union()
}

// speakers returns which replicas speak for the group: those that are healthy;
// if none is, those that were; or else all.
func speakers(known []Health) []int {
	var healthy, once, all []int
	for i := range known {
		all = append(all, i)
		if known[i].Err == nil {
			healthy = append(healthy, i)
		}
		if !known[i].InfoTime.IsZero() {
			once = append(once, i)
		}
	}
	switch {
	case len(healthy) > 0:
		return healthy
	case len(once) > 0:
		return once
	}
	return all
}

// defeat is the failure of a logical member all of whose replicas failed.
func (l *logical) defeat(op string, errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return &store.Error{Store: l.name, Op: op, Err: replicaErrors(errs)}
}

// replicaErrors is why each replica of a group failed.
type replicaErrors []error

func (e replicaErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return "no replica answers: " + strings.Join(texts, "; ")
}

func (e replicaErrors) Unwrap() []error { return e }

// store returns the Store to ask, given what the member said of itself.
//
// Without chunks nobody's word is taken: Thanos' sidecar announces that it removes
// replica labels and shards, and then does neither, and queriers over it announce
// the same. Labels alone cost little to be sorted once more.
func (m *member) store(info *store.Info, r *reach) store.Store {
	removes := len(r.withoutReplicaLabels) > 0
	shards := r.shard != nil && r.shard.Total > 0
	switch {
	case removes && (r.skipChunks || !info.SupportsWithoutReplicaLabels),
		shards && (r.skipChunks || !info.SupportsSharding):
		return m.reduced
	}
	return m.whole
}
