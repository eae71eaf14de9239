// Package step lets tests stop a compactor between two changes of its directory,
// as the end of its process would. It is found in the context, so that nothing of
// it is in the way of those who use a compactor.
//
//	ctx = step.With(ctx, bkt.Step) // of a blocktest.Bucket: one numbering for bucket and directory
package step
