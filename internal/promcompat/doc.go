// Package promcompat is the one place that touches what differs between the
// minor versions of the Prometheus libraries, v0.309 to v0.315: the argument
// lists of the chunk appenders, the start timestamp of an iterator, the encodings
// of a chunk and, in package parse below it, the parser's constructor.
//
//	c := chunkenc.NewXORChunk()
//	app, err := promcompat.NewAppender(c)
//	if err != nil {
//		return err
//	}
//	app.Append(1000, 1.5)
//
// A build has one version of those libraries and a Go file cannot be made to
// depend on it, so a signature that changed is found at run time, by interface
// assertion or, for a function, by reflection. What has an unchanged spelling
// is used directly everywhere else.
//
// Three kinds of drift need no help from here:
//
//   - An iterator or a sample of ours has further methods (AtST, ST) that older
//     interfaces do not ask for.
//   - A callback whose parameter type changed, such as the newStorage argument
//     of promqltest.RunBuiltinTestsWithStorage, is a generic function that the
//     caller passes without instantiating it: its type argument is inferred.
//   - promql.EngineOpts.Parser, which v0.309 lacks, is left nil.
//
// Everything in this package is safe for concurrent use unless its comment says
// otherwise.
package promcompat
