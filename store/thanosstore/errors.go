package thanosstore

// Operations, as they are named in errors.
const (
	opSeries      = "series"
	opLabelNames  = "label names"
	opLabelValues = "label values"
	opInfo        = "info"
)
