package wire

import "github.com/thanoskit/thanoskit/internal/encoded"

// UsualSeries decodes the body of a Series in its usual form; false if it is
// not in that form.
func (d *Decoder) UsualSeries(b []byte, s *encoded.Series) bool {
	d.begin(encoded.NewFrame(nil))
	d.msg, d.isBatch = b, false
	d.chunkStart, d.aggrStart = 0, 0
	ok, err := d.usualSeries(b, s)
	return ok && err == nil
}

// AnySeries decodes the body of a Series in any form.
func (d *Decoder) AnySeries(b []byte, s *encoded.Series) error {
	d.begin(encoded.NewFrame(nil))
	d.msg, d.isBatch = b, false
	d.chunkStart, d.aggrStart = 0, 0
	return d.anySeries(b, s)
}

// Sizes of structures, as the decoder counts them.
const (
	SizeofSeries     = sizeofSeries
	SizeofChunk      = sizeofChunk
	SizeofAggregates = sizeofAggregates
)
