package grpcstore

import "google.golang.org/protobuf/types/descriptorpb"

// The files of the StoreAPI as Thanos names them, with what package
// internal/wire speaks of them. They are for reflection only.
//
// Source: Thanos' store/labelpb/types.proto, store/storepb/types.proto,
// store/storepb/rpc.proto and info/infopb/rpc.proto.
func descriptors() []*descriptorpb.FileDescriptorProto {
	return []*descriptorpb.FileDescriptorProto{labelFile(), typesFile(), storeFile(), infoFile()}
}

const (
	labelPath = "store/labelpb/types.proto"
	typesPath = "store/storepb/types.proto"
	storePath = "store/storepb/rpc.proto"
	infoPath  = "info/infopb/rpc.proto"
	anyPath   = "google/protobuf/any.proto"
)

func labelFile() *descriptorpb.FileDescriptorProto {
	f := newFile(labelPath, "thanos")
	f.MessageType = []*descriptorpb.DescriptorProto{
		newMessage("Label", str("name", 1), str("value", 2)),
		newMessage("LabelSet", many(msg("labels", 1, ".thanos.Label"))),
		newMessage("ZLabelSet", many(msg("labels", 1, ".thanos.Label"))),
	}
	return f
}

func typesFile() *descriptorpb.FileDescriptorProto {
	f := newFile(typesPath, "thanos", labelPath)
	chunk := newMessage("Chunk", enum("type", 1, ".thanos.Chunk.Encoding"), bytesField("data", 2), u64("hash", 3))
	chunk.EnumType = []*descriptorpb.EnumDescriptorProto{newEnum("Encoding", "XOR", "HISTOGRAM", "FLOAT_HISTOGRAM")}
	matcher := newMessage("LabelMatcher", enum("type", 1, ".thanos.LabelMatcher.Type"), str("name", 2), str("value", 3))
	matcher.EnumType = []*descriptorpb.EnumDescriptorProto{newEnum("Type", "EQ", "NEQ", "RE", "NRE")}
	f.MessageType = []*descriptorpb.DescriptorProto{
		chunk,
		newMessage("Series", many(msg("labels", 1, ".thanos.Label")), many(msg("chunks", 2, ".thanos.AggrChunk"))),
		newMessage("SeriesBatch", many(msg("series", 1, ".thanos.Series"))),
		newMessage("AggrChunk", i64("min_time", 1), i64("max_time", 2),
			msg("raw", 3, ".thanos.Chunk"), msg("count", 4, ".thanos.Chunk"), msg("sum", 5, ".thanos.Chunk"),
			msg("min", 6, ".thanos.Chunk"), msg("max", 7, ".thanos.Chunk"), msg("counter", 8, ".thanos.Chunk")),
		matcher,
	}
	f.EnumType = []*descriptorpb.EnumDescriptorProto{newEnum("PartialResponseStrategy", "WARN", "ABORT")}
	return f
}

func storeFile() *descriptorpb.FileDescriptorProto {
	f := newFile(storePath, "thanos", typesPath, anyPath)
	response := newMessage("SeriesResponse",
		msg("series", 1, ".thanos.Series"), str("warning", 2), msg("hints", 3, ".google.protobuf.Any"), msg("batch", 4, ".thanos.SeriesBatch"))
	response.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: new("result")}}
	for _, field := range response.Field {
		field.OneofIndex = new(int32(0))
	}
	f.MessageType = append([]*descriptorpb.DescriptorProto{
		newMessage("SeriesRequest",
			i64("min_time", 1), i64("max_time", 2), many(msg("matchers", 3, ".thanos.LabelMatcher")), i64("max_resolution_window", 4),
			many(enum("aggregates", 5, ".thanos.Aggr")), boolean("partial_response_disabled", 6),
			enum("partial_response_strategy", 7, ".thanos.PartialResponseStrategy"), boolean("skip_chunks", 8),
			msg("hints", 9, ".google.protobuf.Any"), i64("step", 10), i64("range", 11), msg("query_hints", 12, ".thanos.QueryHints"),
			msg("shard_info", 13, ".thanos.ShardInfo"), many(str("without_replica_labels", 14)), i64("limit", 15), i64("response_batch_size", 16)),
		newMessage("QueryHints",
			i64("step_millis", 1), msg("func", 2, ".thanos.Func"), msg("grouping", 4, ".thanos.Grouping"), msg("range", 5, ".thanos.Range"),
			many(str("projection_labels", 6)), boolean("projection_include", 7), str("series_hash_label_name", 8)),
		newMessage("ShardInfo", i64("shard_index", 1), i64("total_shards", 2), boolean("by", 3), many(str("labels", 4))),
		newMessage("Func", str("name", 1)),
		newMessage("Grouping", boolean("by", 1), many(str("labels", 3))),
		newMessage("Range", i64("millis", 1)),
		response,
	}, labelMessages()...)
	f.EnumType = []*descriptorpb.EnumDescriptorProto{newEnum("Aggr", "RAW", "COUNT", "SUM", "MIN", "MAX", "COUNTER")}
	series := method("Series", ".thanos.SeriesRequest", ".thanos.SeriesResponse")
	series.ServerStreaming = new(true)
	f.Service = []*descriptorpb.ServiceDescriptorProto{{Name: new("Store"), Method: []*descriptorpb.MethodDescriptorProto{
		series,
		method("LabelNames", ".thanos.LabelNamesRequest", ".thanos.LabelNamesResponse"),
		method("LabelValues", ".thanos.LabelValuesRequest", ".thanos.LabelValuesResponse"),
	}}}
	return f
}

func labelMessages() []*descriptorpb.DescriptorProto {
	return []*descriptorpb.DescriptorProto{
		newMessage("LabelNamesRequest",
			boolean("partial_response_disabled", 1), enum("partial_response_strategy", 2, ".thanos.PartialResponseStrategy"),
			i64("start", 3), i64("end", 4), msg("hints", 5, ".google.protobuf.Any"), many(msg("matchers", 6, ".thanos.LabelMatcher")),
			many(str("without_replica_labels", 7)), i64("limit", 8)),
		newMessage("LabelNamesResponse", many(str("names", 1)), many(str("warnings", 2)), msg("hints", 3, ".google.protobuf.Any")),
		newMessage("LabelValuesRequest",
			str("label", 1), boolean("partial_response_disabled", 2), enum("partial_response_strategy", 3, ".thanos.PartialResponseStrategy"),
			i64("start", 4), i64("end", 5), msg("hints", 6, ".google.protobuf.Any"), many(msg("matchers", 7, ".thanos.LabelMatcher")),
			many(str("without_replica_labels", 8)), i64("limit", 9)),
		newMessage("LabelValuesResponse", many(str("values", 1)), many(str("warnings", 2)), msg("hints", 3, ".google.protobuf.Any")),
	}
}

func infoFile() *descriptorpb.FileDescriptorProto {
	f := newFile(infoPath, "thanos.info", labelPath)
	f.MessageType = []*descriptorpb.DescriptorProto{
		newMessage("InfoRequest"),
		newMessage("InfoResponse",
			many(msg("label_sets", 1, ".thanos.ZLabelSet")), str("ComponentType", 2), msg("store", 3, ".thanos.info.StoreInfo"),
			msg("rules", 4, ".thanos.info.RulesInfo"), msg("metric_metadata", 5, ".thanos.info.MetricMetadataInfo"),
			msg("targets", 6, ".thanos.info.TargetsInfo"), msg("exemplars", 7, ".thanos.info.ExemplarsInfo"),
			msg("query", 8, ".thanos.info.QueryAPIInfo"), msg("status", 9, ".thanos.info.StatusInfo")),
		newMessage("StoreInfo",
			i64("min_time", 1), i64("max_time", 2), boolean("supports_sharding", 3), boolean("supports_without_replica_labels", 5),
			many(msg("tsdb_infos", 6, ".thanos.info.TSDBInfo"))),
		newMessage("RulesInfo"),
		newMessage("MetricMetadataInfo"),
		newMessage("TargetsInfo"),
		newMessage("ExemplarsInfo", i64("min_time", 1), i64("max_time", 2)),
		newMessage("QueryAPIInfo"),
		newMessage("StatusInfo"),
		newMessage("TSDBInfo", msg("labels", 1, ".thanos.ZLabelSet"), i64("min_time", 2), i64("max_time", 3)),
	}
	f.Service = []*descriptorpb.ServiceDescriptorProto{{Name: new("Info"), Method: []*descriptorpb.MethodDescriptorProto{
		method("Info", ".thanos.info.InfoRequest", ".thanos.info.InfoResponse"),
	}}}
	return f
}

func newFile(path, pkg string, imports ...string) *descriptorpb.FileDescriptorProto {
	return &descriptorpb.FileDescriptorProto{
		Name: new(path), Package: new(pkg), Dependency: imports, Syntax: new("proto3"),
	}
}

func newMessage(name string, fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
	return &descriptorpb.DescriptorProto{Name: new(name), Field: fields}
}

func newEnum(name string, values ...string) *descriptorpb.EnumDescriptorProto {
	e := &descriptorpb.EnumDescriptorProto{Name: new(name)}
	for i, v := range values {
		e.Value = append(e.Value, &descriptorpb.EnumValueDescriptorProto{Name: new(v), Number: new(int32(i))})
	}
	return e
}

func method(name, in, out string) *descriptorpb.MethodDescriptorProto {
	return &descriptorpb.MethodDescriptorProto{Name: new(name), InputType: new(in), OutputType: new(out)}
}

func field(name string, num int32, typ descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
	return &descriptorpb.FieldDescriptorProto{
		Name: new(name), Number: new(num), Type: typ.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
}

func typed(name string, num int32, typ descriptorpb.FieldDescriptorProto_Type, typeName string) *descriptorpb.FieldDescriptorProto {
	f := field(name, num, typ)
	f.TypeName = new(typeName)
	return f
}

func str(name string, num int32) *descriptorpb.FieldDescriptorProto {
	return field(name, num, descriptorpb.FieldDescriptorProto_TYPE_STRING)
}

func bytesField(name string, num int32) *descriptorpb.FieldDescriptorProto {
	return field(name, num, descriptorpb.FieldDescriptorProto_TYPE_BYTES)
}

func i64(name string, num int32) *descriptorpb.FieldDescriptorProto {
	return field(name, num, descriptorpb.FieldDescriptorProto_TYPE_INT64)
}

func u64(name string, num int32) *descriptorpb.FieldDescriptorProto {
	return field(name, num, descriptorpb.FieldDescriptorProto_TYPE_UINT64)
}

func boolean(name string, num int32) *descriptorpb.FieldDescriptorProto {
	return field(name, num, descriptorpb.FieldDescriptorProto_TYPE_BOOL)
}

func msg(name string, num int32, typeName string) *descriptorpb.FieldDescriptorProto {
	return typed(name, num, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, typeName)
}

func enum(name string, num int32, typeName string) *descriptorpb.FieldDescriptorProto {
	return typed(name, num, descriptorpb.FieldDescriptorProto_TYPE_ENUM, typeName)
}

func many(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
	f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	return f
}
