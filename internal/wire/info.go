package wire

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// APIs is a set of the APIs that a component says it has.
type APIs uint8

// The APIs in the order of their fields in InfoResponse.
const (
	StoreAPI APIs = 1 << iota
	RulesAPI
	MetadataAPI
	TargetsAPI
	ExemplarsAPI
	QueryAPI
	StatusAPI
)

// Has reports whether all of b are in a.
func (a APIs) Has(b APIs) bool { return a&b == b }

// firstAPI is the field number of StoreAPI in InfoResponse; the others follow.
const firstAPI, lastAPI = 3, 9

// AppendInfo appends i as a thanos.info.InfoResponse of a component that has the
// StoreAPI to dst.
//
// An Info without a time range announces all time: on the wire, zero is a time
// like any other. If any label set is empty, so that the store may hold any
// series, no label set is announced: Thanos would heed the others alone.
//
// Source: infopb/rpc.proto, InfoResponse.
func AppendInfo(dst []byte, i *store.Info) []byte {
	if !anyEmpty(i.LabelSets) {
		for _, lset := range i.LabelSets {
			dst = appendMessage(dst, 1, func(dst []byte) []byte { return encoded.AppendLabels(dst, lset) })
		}
	}
	dst = appendString(dst, 2, i.Component)
	return appendMessage(dst, firstAPI, func(dst []byte) []byte { return appendStoreInfo(dst, i) })
}

func anyEmpty(lsets []labels.Labels) bool {
	for _, lset := range lsets {
		if lset.IsEmpty() {
			return true
		}
	}
	return false
}

func appendStoreInfo(dst []byte, i *store.Info) []byte {
	mint, maxt := i.TimeRange()
	dst = appendInt64(dst, 1, mint)
	dst = appendInt64(dst, 2, maxt)
	dst = appendBool(dst, 3, i.SupportsSharding)
	dst = appendBool(dst, 5, i.SupportsWithoutReplicaLabels)
	for _, t := range i.TSDBs {
		dst = appendMessage(dst, 6, func(dst []byte) []byte {
			dst = appendMessage(dst, 1, func(dst []byte) []byte { return encoded.AppendLabels(dst, t.Labels) })
			dst = appendInt64(dst, 2, t.MinTime)
			return appendInt64(dst, 3, t.MaxTime)
		})
	}
	return dst
}

// DecodeInfo decodes a thanos.info.InfoResponse. Nothing of the result shares
// memory with b.
//
// Output: the APIs that the component has. Without StoreAPI it is no store, and
// the Info's time range and abilities are unset. A store that announces the time
// range from 0 to 0 is taken to say nothing of it, and empty label sets are kept:
// both make a reader ask a store that may have nothing rather than miss data.
//
// Errors: store.ErrMalformed, also for a label set that has a name twice or a
// label of 16 MiB.
func DecodeInfo(b []byte) (*store.Info, APIs, error) {
	d := infoDecoder{sb: labels.NewScratchBuilder(0)}
	m := message{rest: b}
	d.info.LabelSets = slices.Grow(d.info.LabelSets, countFields(b, 1))
	for m.next() {
		switch {
		case m.num == 1:
			m.sub(func(b []byte) error {
				lset, err := d.labelSet(b)
				d.info.LabelSets = append(d.info.LabelSets, lset)
				return err
			})
		case m.num == 2:
			d.info.Component = m.string()
		case m.num >= firstAPI && m.num <= lastAPI:
			api := StoreAPI << (m.num - firstAPI)
			d.apis |= api
			m.sub(func(b []byte) error { return d.api(api, b) })
		}
	}
	if m.err != nil {
		return nil, 0, malformed("info", m.err)
	}
	return &d.info, d.apis, nil
}

type infoDecoder struct {
	info store.Info
	apis APIs
	set  labelSet
	sb   labels.ScratchBuilder
}

// api decodes what the component says about one of its APIs.
func (d *infoDecoder) api(api APIs, b []byte) error {
	switch api {
	case StoreAPI:
		return d.storeInfo(b)
	case ExemplarsAPI:
		m := message{rest: b}
		for m.next() {
			if m.num == 1 || m.num == 2 { // its time range
				m.int64()
			}
		}
		return m.err
	default:
		return wellFormed(b)
	}
}

func (d *infoDecoder) storeInfo(b []byte) error {
	d.info.TSDBs = slices.Grow(d.info.TSDBs, countFields(b, 6))
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			d.info.MinTime = m.int64()
		case 2:
			d.info.MaxTime = m.int64()
		case 3:
			d.info.SupportsSharding = m.bool()
		case 5:
			d.info.SupportsWithoutReplicaLabels = m.bool()
		case 6:
			m.sub(d.tsdbInfo)
		}
	}
	return m.err
}

func (d *infoDecoder) tsdbInfo(b []byte) error {
	var t store.TSDBInfo
	d.set.reset()
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			m.sub(d.set.addAll)
		case 2:
			t.MinTime = m.int64()
		case 3:
			t.MaxTime = m.int64()
		}
	}
	if m.err != nil {
		return m.err
	}
	var err error
	t.Labels, err = d.set.labels(&d.sb)
	d.info.TSDBs = append(d.info.TSDBs, t)
	return err
}

// labelSet decodes a ZLabelSet.
func (d *infoDecoder) labelSet(b []byte) (labels.Labels, error) {
	d.set.reset()
	if err := d.set.addAll(b); err != nil {
		return labels.EmptyLabels(), err
	}
	return d.set.labels(&d.sb)
}
