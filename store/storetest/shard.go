package storetest

import (
	"context"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

func shardChecks() []check {
	with := func(name, doc string, run func(context.Context, *probe) error) check {
		return check{name: name, doc: doc, announced: canShard, run: func(ctx context.Context, p *probe) error {
			if err := p.after(checkCapabilities); err != nil {
				return err
			}
			if _, err := p.all(ctx); err != nil {
				return err
			}
			return run(ctx, p)
		}}
	}
	return []check{
		with("sharding-hash", "A series is in the shard that the hash of all of its labels says.", func(ctx context.Context, p *probe) error {
			return p.compareShards(ctx, p.request(), p.whole, store.Shard{Total: 3})
		}),
		with("sharding-by", "A shard by labels depends on these labels only.", func(ctx context.Context, p *probe) error {
			for _, names := range p.shardLabels() {
				if err := p.compareShards(ctx, p.request(), p.whole, store.Shard{Total: 2, By: true, Labels: names}); err != nil {
					return err
				}
			}
			return nil
		}),
		with("sharding-without", "A shard without labels depends on all but these labels.", func(ctx context.Context, p *probe) error {
			for _, names := range p.shardLabels() {
				if err := p.compareShards(ctx, p.request(), p.whole, store.Shard{Total: 2, Labels: names}); err != nil {
					return err
				}
			}
			return nil
		}),
		with("sharding-skip-chunks", "With SkipChunks too, only the series of the shard are sent.", func(ctx context.Context, p *probe) error {
			req := p.request()
			req.SkipChunks = true
			return p.compareShards(ctx, req, p.whole, store.Shard{Total: 2})
		}),
		with("sharding-limit", "A limit counts the series of the shard.", checkShardLimit),
		with("sharding-replica-labels", "A shard depends on the labels that are left when replica labels are removed.", checkShardReplica),
	}
}

// shardLabels returns lists of labels to shard by, or without: a label that
// differs, the metric name with it, and one that no series has.
func (p *probe) shardLabels() [][]string {
	name, _ := p.varied(p.whole)
	out := [][]string{{labels.MetricName}, {"storetest_no_such_label"}}
	if name != "" {
		out = append(out, []string{name}, []string{name, labels.MetricName})
	}
	return out
}

// shardOf returns the shard that a series belongs to.
//
// Source: ShardInfo of Thanos' storepb/rpc.proto and what its components agree
// on: xxhash64 over name, 0xff, value, 0xff of each label that takes part.
func shardOf(s *store.Shard, lset labels.Labels) int64 {
	var b []byte
	lset.Range(func(l labels.Label) {
		if slices.Contains(s.Labels, l.Name) == s.By {
			b = append(append(append(append(b, l.Name...), 0xff), l.Value...), 0xff)
		}
	})
	return int64(xxhash.Sum64(b) % uint64(s.Total))
}

// compareShards asks for every shard, and compares it with the series of whole
// that belong to it.
func (p *probe) compareShards(ctx context.Context, req *store.SeriesRequest, whole *answer, shard store.Shard) error {
	for i := range shard.Total {
		r, sh := *req, shard
		sh.Index = i
		r.Shard = &sh
		got, err := p.ask(ctx, &r)
		if err != nil {
			return err
		}
		for _, s := range got.series {
			if home := shardOf(&sh, s.labels); home != i {
				return fmt.Errorf("asked for %s: series %s was sent, which belongs to shard %d", describeRequest(&r), s.labels, home)
			}
		}
		if diff := diffLabelSets(inShard(whole.labelSets(), &sh), got.labelSets()); diff != "" {
			return fmt.Errorf("asked for %s: %s", describeRequest(&r), diff)
		}
	}
	return nil
}

func inShard(lsets []labels.Labels, s *store.Shard) []labels.Labels {
	return slices.DeleteFunc(slices.Clone(lsets), func(lset labels.Labels) bool { return shardOf(s, lset) != s.Index })
}

func checkShardLimit(ctx context.Context, p *probe) error {
	req := p.request()
	req.Shard = &store.Shard{Index: 1, Total: 2}
	return p.compareLimits(ctx, req, inShard(p.whole.labelSets(), req.Shard))
}

func checkShardReplica(ctx context.Context, p *probe) error {
	info, err := p.describe(ctx)
	if err != nil {
		return err
	}
	if !canRemoveReplicaLabels.announced(info) {
		return unablef("the store does not announce %s", canRemoveReplicaLabels)
	}
	req, want, err := p.withoutReplicas(ctx)
	if err != nil {
		return err
	}
	return p.compareShards(ctx, req, want, store.Shard{Total: 2})
}
