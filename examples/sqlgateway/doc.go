// Command sqlgateway serves a table of a SQL database as a StoreAPI: what a
// gateway to data that lies elsewhere looks like, in a module of its own, with
// nothing but thanoskit's public packages.
//
//	go run .                # demo data, on port 10901
//	go run . --check        # is it a good Store? every check with its result
//	sqlgateway --sql.database='file:plant.db?mode=ro' --sql.table=readings \
//		--sql.label=__name__=quantity --sql.label=site --sql.label=line=production_line \
//		--sql.time-column=at_ms --sql.value-column=reading --external-label=source=plant
//
// Each row is a sample: label columns that hold text, in which NULL and the empty
// text mean that the series has no such label; a time in milliseconds since the
// epoch, one row for each series and time; and a value, NULL being a stale
// marker: nothing is known from then on. A view makes such a table of any other,
// and an index over time, or over labels and time, makes it fast.
//
// The database sorts, and does as much of the selecting as can be said in SQL;
// the gateway holds the samples of one message. To serve another database, import
// its driver, and look at what sql.go says in SQLite's own terms: quotes around
// names, question marks for arguments, and text compared byte by byte.
package main
