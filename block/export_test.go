package block

// SetStep has f called before each operation of a download on the local disk.
func (o *DownloadOptions) SetStep(f func(op, file string) error) { o.step = f }
