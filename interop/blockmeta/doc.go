// Package blockmeta holds what package block says about blocks against what
// Thanos says: the bytes of meta.json and of marks both ways, the views that both
// have of one bucket through their filters, and blocks that one uploads, marks,
// replicates or deletes and the other reads.
package blockmeta
