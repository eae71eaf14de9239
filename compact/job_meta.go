package compact

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// outputMeta returns what meta.json of the finest output of a job begins with, but
// for the ULID. sources are the blocks' own, in the order of the job.
//
// Source: prometheus/tsdb CompactBlockMetas, and Thanos v0.42.4, pkg/compact
// (*Group).compact, for compactions; cmd/thanos processDownsampling for others,
// which leaves all as it was but the resolution.
func outputMeta(job *Job, sources []*block.Meta) *block.Meta {
	m := &block.Meta{}
	if job.Kind == DownsampleOnly {
		m = sources[0].Clone()
	} else {
		m.Compaction = compactionOf(sources)
		m.Thanos.Extensions = commonExtensions(sources)
	}
	m.MinTime, m.MaxTime = job.MinTime, job.MaxTime
	m.Thanos.Labels = maps.Clone(job.Labels)
	m.Thanos.Source = block.SourceCompactor
	m.Thanos.UploadTime = time.Time{}
	return m
}

// compactionOf says what blocks become together.
func compactionOf(metas []*block.Meta) block.Compaction {
	var c block.Compaction
	for _, m := range metas {
		c.Level = max(c.Level, m.Compaction.Level)
		c.Sources = append(c.Sources, m.Compaction.Sources...)
		c.Parents = append(c.Parents, block.Parent{ULID: m.ULID, MinTime: m.MinTime, MaxTime: m.MaxTime})
	}
	c.Level++
	slices.SortFunc(c.Sources, ulid.ULID.Compare)
	c.Sources = slices.Compact(c.Sources)
	return c
}

// commonExtensions returns the extensions that all blocks have that have any, with
// the values of the first of them. What is not a JSON object is nothing.
func commonExtensions(metas []*block.Meta) json.RawMessage {
	var common map[string]json.RawMessage
	for _, m := range metas {
		var ext map[string]json.RawMessage
		if json.Unmarshal(m.Thanos.Extensions, &ext) != nil || ext == nil {
			continue
		}
		if common == nil {
			common = ext
			continue
		}
		maps.DeleteFunc(common, func(key string, _ json.RawMessage) bool {
			_, ok := ext[key]
			return !ok
		})
	}
	if common == nil {
		return nil
	}
	b, err := json.Marshal(common)
	if err != nil {
		return nil // which cannot be: it was JSON before
	}
	return b
}
