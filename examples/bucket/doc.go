// Command bucket looks at the blocks in object storage and does things to them, as
// thanos tools bucket does.
//
//	bucket ls        --objstore.config-file=bucket.yml --output=wide
//	bucket inspect   --objstore.config-file=bucket.yml --selector='cluster="eu1"'
//	bucket verify    --objstore.config-file=bucket.yml --id=01HF7Z...
//	bucket mark      --objstore.config-file=bucket.yml --id=01HF7Z... --marker=deletion-mark.json --details='never again'
//	bucket unmark    --objstore.config-file=bucket.yml --id=01HF7Z... --marker=no-compact-mark.json
//	bucket replicate --objstore.config-file=bucket.yml --objstore-to.config-file=other.yml --resolution=1h
//	bucket downsample --objstore.config-file=bucket.yml --data-dir=work --wait-interval=0s
//	bucket rewrite   --objstore.config-file=bucket.yml --id=01HF7Z... --rewrite.to-delete-config-file=what.yml --no-dry-run
//
// What was asked for is printed to standard output, what is to be known besides to
// standard error: a log, as --log.level and --log.format say. The status is 0 if all
// is well, 1 if something could not be done, 2 if the command line is wrong, and 3 if
// verify has found something wrong with a block.
package main
