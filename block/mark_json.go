package block

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

const (
	markVersion = 1
	// maxMarkBytes bounds what is read of a mark.
	maxMarkBytes = 1 << 20
)

// markJSON is what all marks have, in Thanos' order.
type markJSON struct {
	ID      ulid.ULID `json:"id"`
	Version int       `json:"version"`
	Details string    `json:"details,omitempty"`
}

type deletionJSON struct {
	markJSON
	Time int64 `json:"deletion_time"`
}

type noCompactJSON struct {
	markJSON
	Time   int64  `json:"no_compact_time"`
	Reason string `json:"reason"`
}

type noDownsampleJSON struct {
	markJSON
	Time   int64  `json:"no_downsample_time"`
	Reason string `json:"reason"`
}

// Encode returns the bytes that Thanos v0.42.4 writes for such a mark.
//
// Errors: a kind that is not known, no block.
func (m Mark) Encode() ([]byte, error) {
	if m.Block.IsZero() {
		return nil, fmt.Errorf("encode %s mark: no block", m.Kind)
	}
	common := markJSON{ID: m.Block, Version: markVersion, Details: m.Details}
	switch m.Kind {
	case DeletionMark:
		return json.Marshal(deletionJSON{common, m.Time.Unix()})
	case NoCompactMark:
		return json.Marshal(noCompactJSON{common, m.Time.Unix(), m.Reason})
	case NoDownsampleMark:
		return json.Marshal(noDownsampleJSON{common, m.Time.Unix(), m.Reason})
	}
	return nil, fmt.Errorf("encode %s: %w", m.Kind, ErrUnsupported)
}

// ParseMark decodes a mark that was found beside a block.
//
// Errors: *MetaError for what is not JSON, is another block's, or has no time;
// *UnsupportedError for a version that is not known.
func ParseMark(id ulid.ULID, kind MarkKind, data []byte) (*Mark, error) {
	var (
		common *markJSON
		when   *int64
		field  string
		reason *string
		err    error
	)
	switch kind {
	case DeletionMark:
		d := deletionJSON{}
		err, common, when, field = unmarshal(data, &d), &d.markJSON, &d.Time, "deletion_time"
	case NoCompactMark:
		d := noCompactJSON{}
		err, common, when, field, reason = unmarshal(data, &d), &d.markJSON, &d.Time, "no_compact_time", &d.Reason
	case NoDownsampleMark:
		d := noDownsampleJSON{}
		err, common, when, field, reason = unmarshal(data, &d), &d.markJSON, &d.Time, "no_downsample_time", &d.Reason
	default:
		return nil, &UnsupportedError{Block: id, File: kind.File(), What: kind.String()}
	}
	bad := func(field string, err error) error {
		return &MetaError{Block: id, File: kind.File(), Field: field, Err: err}
	}
	switch {
	case err != nil:
		return nil, bad(strings.TrimPrefix(jsonField(err), "markJSON."), err)
	case common.Version != markVersion:
		return nil, &UnsupportedError{Block: id, File: kind.File(), What: fmt.Sprintf("version %d", common.Version)}
	case common.ID != id:
		return nil, bad("id", fmt.Errorf("%s is another block's", common.ID))
	case *when < 0:
		return nil, bad(field, fmt.Errorf("%d is negative", *when))
	case kind == DeletionMark && *when == 0:
		// Taken as a time, it would have the block deleted at once.
		return nil, bad(field, errors.New("missing"))
	}
	m := &Mark{Kind: kind, Block: id, Time: time.Unix(*when, 0).UTC(), Details: common.Details}
	if reason != nil {
		m.Reason = *reason
	}
	return m, nil
}
