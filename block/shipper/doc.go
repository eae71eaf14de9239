// Package shipper brings the finished blocks of a Prometheus TSDB to object
// storage: the writing half of a Thanos sidecar.
//
//	s, err := shipper.New(bkt, "/prometheus/data", &shipper.Options{
//		ExternalLabels: prometheus.ExternalLabels, // of a promstore.Store
//	})
//	if err != nil {
//		return err
//	}
//	return s.Run(ctx) // or s.Sync(ctx), once
//
// # Which blocks, in which order
//
// A finished block is a directory that is named by its ULID alone: Prometheus
// renames it to that once it is whole. Blocks go in the order of their MinTime,
// and a newer one waits for an older one that could not be sent, unless
// Options.AllowOutOfOrder says otherwise: a compactor that saw the newer one
// first might compact around the gap. Blocks without samples stay, and so do those
// that Prometheus compacted itself, unless Options.UploadCompacted. One of these
// that overlaps with blocks of the bucket stays, and is an error, but nothing
// waits for it.
//
// # What is in the bucket is never in doubt
//
// What is sent are hard links to the files of a block, so that Prometheus may
// delete it meanwhile; where the filesystem has no links, copies, which take as much
// room again. The block's own meta.json is not touched. meta.json goes last, with
// Thanos' section in it, so that a shipper that dies at any point leaves nothing
// that readers take for a block; the next Sync goes on from there. When all is sent
// the bucket is asked whether all is there: a cleaner may have taken the block for
// a dead upload and deleted objects of it meanwhile.
//
// A block is read before it is sent. One that readers could not read, because it
// is damaged or of a kind that they do not know, is sent with a warning, or
// skipped with Options.SkipCorrupted. What the others yield in passing is
// index_stats in meta.json, with which gateways read less; Thanos' sidecar leaves
// them out.
//
// Which blocks have been sent is kept in thanos.shipper.json in the data
// directory, as Thanos does, and Prometheus can delay compaction by it
// (--storage.tsdb.delay-compact-file.path). The file may be lost, corrupt, or
// written by a Thanos sidecar in between: blocks that it does not name are looked
// for in the bucket before they are sent. A file that cannot be read for the moment
// is not overwritten. A block that it does name is not looked for, and so does not
// come back after a compactor has deleted it. If the file was lost, and the
// compactor had deleted the block by then, it is sent again; the compactor sees by
// its sources that it is a duplicate, and deletes it again. One that is marked for
// deletion is not sent, even if the rest of it is gone.
//
// # One at a time
//
// A Sync holds a lock on <dir>/thanos/upload/<name of the file>/lock, which its
// death releases, and keeps its links beside it. Of two shippers on one
// directory one works and the other gets ErrBusy; shippers with other file names,
// such as those for another bucket, do not see each other. On a filesystem without
// locks, where Prometheus runs with --storage.tsdb.no-lockfile, there is a warning
// instead, and to run only one is up to the caller. A Thanos sidecar knows no such
// lock: at the same time as one, a block may be sent twice, which is harmless but
// in a bucket that is a directory, where readers meet files as they are written.
//
// The package does not compact, delete or read back blocks; see block for that,
// and promstore for the reading half of a sidecar.
package shipper
