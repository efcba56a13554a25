BEGIN TRANSACTION;
CREATE TABLE sessionry_approval (
    key integer primary key autoincrement,
    id text not null unique,
    session integer not null references sessionry_session (key) on delete cascade,
    run integer not null references sessionry_run (key) on delete cascade,
    question text not null,
    status text not null,
    tool_name text not null,
    tool_input text not null,
    tool_call_id text,
    reason text,
    requested_at integer not null,
    expires_at integer,
    decided_at integer,
    decided_by text,
    note text,
    unique (run, question)
);
INSERT INTO "sessionry_approval" VALUES(1,'apr_01a2229d3fde7d6083ee2b42ccd97dd6',14,6,'k','granted','rm','{"path":"x"}','t','why',1760000048000000,1769000048000000,1760000049000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(2,'apr_01a2229d40237a05b8e6b7038d75e02f',15,7,'k','denied','rm','{"path":"x"}','t','why',1760000055000000,1769000055000000,1760000056000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(3,'apr_01a2229d405a7c048d61910051effcc5',16,8,'open','pending','rm','null',NULL,NULL,1760000062000000,NULL,NULL,NULL,NULL);
INSERT INTO "sessionry_approval" VALUES(4,'apr_01a2229d407078ca822c1eeb6f0f3d4b',17,9,'open','pending','rm','null',NULL,NULL,1760000066000000,NULL,NULL,NULL,NULL);
CREATE TABLE sessionry_deed (
    key integer primary key autoincrement,
    at integer not null,
    tenant text not null,
    owner text, -- null: the whole tenant
    actor text,
    origin text,
    type text not null,
    subject text not null
);
INSERT INTO "sessionry_deed" VALUES(1,1760000003000000,'local','ann','ann',NULL,'token_created','tok_01a2229d3d817e87a26698abac4d4fed');
CREATE TABLE sessionry_event (
    position integer primary key autoincrement,
    session integer not null,
    seq integer not null,
    run integer,
    fence integer not null,
    type text not null,
    at integer not null,
    id blob not null,
    actor text,
    correlation text,
    causation text,
    schema integer not null,
    data text not null
, origin text);
INSERT INTO "sessionry_event" VALUES(1,1,1,NULL,0,'session_created',1760000004000000,X'01A2229D3D8B7689861C0BA528D810C7','ann',NULL,NULL,1,'{"agent_id":"echo","title":"Größe ÄÖÜ ß 🦀","cwd":"/tmp","metadata":{"n":[1,null,{"x":2.5}]},"tags":["a","b c"]}',NULL);
INSERT INTO "sessionry_event" VALUES(2,2,1,NULL,0,'session_created',1760000005000000,X'01A2229D3D96706BACA9B6230CDDC2A6','ann',NULL,NULL,1,'{"agent_id":"echo","parent_session_id":"ses_01a2229d3d8a7ec98efd8b8fe1f2accf","context":{"system":"be brief"},"slots":2,"queue_limit":5}',NULL);
INSERT INTO "sessionry_event" VALUES(3,1,2,NULL,0,'session_updated',1760000006000000,X'01A2229D3D9F70578D825A490855B6B9',NULL,NULL,NULL,1,'{"title":"Changed","tags":["b c","d"]}',NULL);
INSERT INTO "sessionry_event" VALUES(4,3,1,NULL,0,'session_created',1760000007000000,X'01A2229D3DAA7C8A850F982389FBFD55',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(5,3,2,NULL,0,'session_started',1760000008000000,X'01A2229D3DBB76008BAE0994D0E7BFA7',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(6,3,3,NULL,0,'session_paused',1760000009000000,X'01A2229D3DC7760DB7E3BFCDB8E09A2F',NULL,NULL,NULL,1,'{"reason":"lunch"}',NULL);
INSERT INTO "sessionry_event" VALUES(7,4,1,NULL,0,'session_created',1760000010000000,X'01A2229D3DD270F69434FB88E0450282',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(8,4,2,NULL,0,'session_started',1760000011000000,X'01A2229D3DDF7509A05ABD6CA7B5A91A',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(9,4,3,NULL,0,'session_paused',1760000012000000,X'01A2229D3DEC7F6083325A33C0B49BF2',NULL,NULL,NULL,1,'{"reason":"lunch"}',NULL);
INSERT INTO "sessionry_event" VALUES(10,4,4,NULL,0,'session_resumed',1760000013000000,X'01A2229D3DFE71D2B6E3D3A836E29806',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(11,5,1,NULL,0,'session_created',1760000014000000,X'01A2229D3E0670D2BD3ADC79F3601667',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(12,5,2,NULL,0,'session_started',1760000015000000,X'01A2229D3E2A79D391D5EA9B5A633D26',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(13,5,3,NULL,0,'session_completed',1760000016000000,X'01A2229D3E4078E99D5486B67B3B6A94',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(14,6,1,NULL,0,'session_created',1760000017000000,X'01A2229D3E557F749172840D22314B23',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(15,6,2,NULL,0,'session_cancelled',1760000018000000,X'01A2229D3E667BDC8E18EC0FFE45ADE4',NULL,NULL,NULL,1,'{"reason":"no"}',NULL);
INSERT INTO "sessionry_event" VALUES(16,7,1,NULL,0,'session_created',1760000019000000,X'01A2229D3E777484AA2F7925777B9AD6',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(17,7,2,NULL,0,'session_failed',1760000020000000,X'01A2229D3E7F7BAE9116AB7DD5591342',NULL,NULL,NULL,1,'{"error":{"code":"internal_error","message":"oh","details":{"k":"v"}}}',NULL);
INSERT INTO "sessionry_event" VALUES(18,8,1,NULL,0,'session_created',1760000021000000,X'01A2229D3E8977AEBA707FBFB1FFE45E',NULL,NULL,NULL,1,'{"agent_id":"echo","title":"Gone"}',NULL);
INSERT INTO "sessionry_event" VALUES(19,8,2,NULL,0,'session_deleted',1760000022000000,X'01A2229D3E8F7B69B4164AF7C9528246',NULL,NULL,NULL,1,'{"reason":"test"}',NULL);
INSERT INTO "sessionry_event" VALUES(20,9,1,NULL,0,'session_created',1760000023000000,X'01A2229D3E9F704D930E501804077141',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(21,9,2,NULL,0,'session_started',1760000024000000,X'01A2229D3EA37AE681C3881F9F4EB335',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(22,9,3,1,0,'run_queued',1760000024000000,X'01A2229D3EA370AEA15826C0F1A1466F',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(23,9,4,1,1,'run_started',1760000025000000,X'01A2229D3EA878719E2482E4E1A316EA',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(24,9,5,1,1,'message_streamed',1760000026000000,X'0199C82D2590707E97698B21E5432CBB',NULL,NULL,NULL,1,'{"text":"you "}',NULL);
INSERT INTO "sessionry_event" VALUES(25,9,6,1,1,'message_streamed',1760000026000000,X'0199C82D259072AFB7A479B052FD350E',NULL,NULL,NULL,1,'{"text":"said"}',NULL);
INSERT INTO "sessionry_event" VALUES(26,9,7,1,1,'message_received',1760000026000000,X'0199C82D259076E5B15301DBEA6E9B11',NULL,NULL,NULL,1,'{"text":"you said \u0000   hi"}',NULL);
INSERT INTO "sessionry_event" VALUES(27,9,8,1,1,'tool_call_started',1760000026000000,X'0199C82D259075EEADEBD6546BFF1FD7',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_input":{"command":"ls"}}',NULL);
INSERT INTO "sessionry_event" VALUES(28,9,9,1,1,'tool_call_completed',1760000026000000,X'0199C82D25907BEBA642EA9E702E8B45',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_output":"README"}',NULL);
INSERT INTO "sessionry_event" VALUES(29,9,10,1,1,'tool_call_started',1760000026000000,X'0199C82D25907E38BF6C20D726E85B2F',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash"}',NULL);
INSERT INTO "sessionry_event" VALUES(30,9,11,1,1,'custom_recorded',1760000026000000,X'0199C82D25907EED90A6B704B12BEA4E',NULL,NULL,NULL,1,'{"name":"mine","value":{"big":9223372036854775808,"small":-9223372036854775808}}',NULL);
INSERT INTO "sessionry_event" VALUES(31,9,12,1,1,'artifact_added',1760000026000000,X'0199C82D25907A908EFB75841D05D820',NULL,NULL,NULL,1,'{"hash":"0000000000000000000000000000000000000000000000000000000000000000","size":5,"name":"a.txt","media_type":"text/plain"}',NULL);
INSERT INTO "sessionry_event" VALUES(32,9,13,1,1,'token_usage_updated',1760000027000000,X'01A2229D3ECE7FCFA11B5B9CC65F343F',NULL,NULL,NULL,1,'{"usage":{"input_tokens":10,"output_tokens":2},"cost":"0.0123"}',NULL);
INSERT INTO "sessionry_event" VALUES(33,9,14,1,1,'agent_session_linked',1760000027000000,X'01A2229D3ECE76B484ECDBF9C0A86C8B',NULL,NULL,NULL,1,'{"native_session_id":"n-1","model":"m-1"}',NULL);
INSERT INTO "sessionry_event" VALUES(34,9,15,1,1,'turn_completed',1760000027000000,X'01A2229D3ECE728380C734A17A43C4D5',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(35,9,16,1,0,'tool_call_interrupted',1760000028000000,X'01A2229D3EE17E0ABDB482146E90F233',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash","reason":"run_completed"}',NULL);
INSERT INTO "sessionry_event" VALUES(36,9,17,1,1,'run_completed',1760000028000000,X'01A2229D3EE176D4A8B71F649D5C073B',NULL,NULL,NULL,1,'{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}',NULL);
INSERT INTO "sessionry_event" VALUES(37,10,1,NULL,0,'session_created',1760000029000000,X'01A2229D3EEA7B00807D1D395165D822',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(38,10,2,NULL,0,'session_started',1760000030000000,X'01A2229D3EF570488C88EC1C2118512A',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(39,10,3,2,0,'run_queued',1760000030000000,X'01A2229D3EF57E57ACC95798FF9FE6E4',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(40,10,4,2,1,'run_started',1760000031000000,X'01A2229D3F0A7BF5917ECB745D7B434F',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(41,10,5,2,1,'run_failed',1760000032000000,X'01A2229D3F1170558642E78B76417C05',NULL,NULL,NULL,1,'{"error":{"code":"agent_failed","message":"boom","retryable":true}}',NULL);
INSERT INTO "sessionry_event" VALUES(42,11,1,NULL,0,'session_created',1760000033000000,X'01A2229D3F1B71B6BA03914CB96C24FF',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(43,11,2,NULL,0,'session_started',1760000034000000,X'01A2229D3F287D079FA0FA2CF1975AAC',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(44,11,3,3,0,'run_queued',1760000034000000,X'01A2229D3F287B02AE71B5C13375B01B',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(45,11,4,3,1,'run_started',1760000035000000,X'01A2229D3F2C7516B00202602ED875B9',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(46,11,5,3,1,'run_cancelled',1760000036000000,X'01A2229D3F3D70E388034A303E8138A4',NULL,NULL,NULL,1,'{"reason":"stop"}',NULL);
INSERT INTO "sessionry_event" VALUES(47,12,1,NULL,0,'session_created',1760000037000000,X'01A2229D3F4779E9BD01B0B6FFE7AFA1',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(48,12,2,NULL,0,'session_started',1760000038000000,X'01A2229D3F567DA08C4A20488C34734B',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(49,12,3,4,0,'run_queued',1760000038000000,X'01A2229D3F567AAE81E01E4AA6921AEE',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(50,12,4,4,1,'run_started',1760000039000000,X'01A2229D3F697D13BC41E72A55D327B3',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(51,12,5,4,1,'run_timeout',1760000040000000,X'01A2229D3F78767697B842927B68141A',NULL,NULL,NULL,1,'{"limit":"timeout","seconds":5.0}',NULL);
INSERT INTO "sessionry_event" VALUES(52,13,1,NULL,0,'session_created',1760000041000000,X'01A2229D3F8D7612B989424D1D8ECCBE',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(53,13,2,NULL,0,'session_started',1760000042000000,X'01A2229D3F957F4782EEC72EEF54543A',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(54,13,3,5,0,'run_queued',1760000042000000,X'01A2229D3F957905BF3AD1CB9ED8B809',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(55,13,4,5,1,'run_started',1760000043000000,X'01A2229D3F9D78F0B237246939485F85',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(56,13,5,5,2,'worker_lost',1760000044000000,X'01A2229D3FAD7569953A249D7CF400E6',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"stopped"}',NULL);
INSERT INTO "sessionry_event" VALUES(57,13,6,5,2,'run_failed',1760000044000000,X'01A2229D3FAD73D9AB3725E49CFFFF89',NULL,NULL,NULL,1,'{"error":{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}}',NULL);
INSERT INTO "sessionry_event" VALUES(58,14,1,NULL,0,'session_created',1760000045000000,X'01A2229D3FB879FFBEBCA974C47EBE8A',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(59,14,2,NULL,0,'session_started',1760000046000000,X'01A2229D3FCA7CF58571E1DCFD21890D',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(60,14,3,6,0,'run_queued',1760000046000000,X'01A2229D3FCA7DDFBFE526F6E9AD159D',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(61,14,4,6,1,'run_started',1760000047000000,X'01A2229D3FD3715C93885B3E07254B14',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(62,14,5,6,1,'tool_approval_requested',1760000048000000,X'01A2229D3FDF753F910FF35B06C9232F',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2229d3fde7d6083ee2b42ccd97dd6","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:08Z"}',NULL);
INSERT INTO "sessionry_event" VALUES(63,14,6,6,1,'run_waiting',1760000048000000,X'01A2229D3FDF7889B1CBD9382B67B7D4',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2229d3fde7d6083ee2b42ccd97dd6"}',NULL);
INSERT INTO "sessionry_event" VALUES(64,14,7,6,0,'tool_approval_granted',1760000049000000,X'01A2229D3FE7727FB35DB4C1AC04DA23','ann',NULL,NULL,1,'{"approval_id":"apr_01a2229d3fde7d6083ee2b42ccd97dd6","tool_name":"rm","by":"ann","note":"ok"}',NULL);
INSERT INTO "sessionry_event" VALUES(65,14,8,6,1,'run_resumed',1760000050000000,X'01A2229D3FF370B1B0B7A6317DA63B51',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2229d3fde7d6083ee2b42ccd97dd6"}',NULL);
INSERT INTO "sessionry_event" VALUES(66,14,9,6,1,'run_completed',1760000051000000,X'01A2229D400874F594E4DFB1F614C180',NULL,NULL,NULL,1,'{"text":"done"}',NULL);
INSERT INTO "sessionry_event" VALUES(67,15,1,NULL,0,'session_created',1760000052000000,X'01A2229D400E7DF7A060F96FC82BDEDE',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(68,15,2,NULL,0,'session_started',1760000053000000,X'01A2229D401779E5BCE4F85FE795E10F',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(69,15,3,7,0,'run_queued',1760000053000000,X'01A2229D40177C3EA0CB742A0F0929E9',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(70,15,4,7,1,'run_started',1760000054000000,X'01A2229D401C7B5D82E64119478E868D',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(71,15,5,7,1,'tool_approval_requested',1760000055000000,X'01A2229D402374529C7C6130275B8ADE',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2229d40237a05b8e6b7038d75e02f","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:15Z"}',NULL);
INSERT INTO "sessionry_event" VALUES(72,15,6,7,1,'run_waiting',1760000055000000,X'01A2229D402373F08273D5728A7D0655',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2229d40237a05b8e6b7038d75e02f"}',NULL);
INSERT INTO "sessionry_event" VALUES(73,15,7,7,0,'tool_approval_denied',1760000056000000,X'01A2229D402A755D8D236B31BCB1B68D','ann',NULL,NULL,1,'{"approval_id":"apr_01a2229d40237a05b8e6b7038d75e02f","tool_name":"rm","by":"ann","note":"ok"}',NULL);
INSERT INTO "sessionry_event" VALUES(74,15,8,7,1,'run_resumed',1760000057000000,X'01A2229D403173AAA9352B88B086928D',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2229d40237a05b8e6b7038d75e02f"}',NULL);
INSERT INTO "sessionry_event" VALUES(75,15,9,7,1,'run_completed',1760000058000000,X'01A2229D40367E22882E49DD512665CA',NULL,NULL,NULL,1,'{"text":"done"}',NULL);
INSERT INTO "sessionry_event" VALUES(76,16,1,NULL,0,'session_created',1760000059000000,X'01A2229D40447322BBDE1DD1A95B7C23',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(77,16,2,NULL,0,'session_started',1760000060000000,X'01A2229D404B7A7EBFE47BFEDA9D1F67',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(78,16,3,8,0,'run_queued',1760000060000000,X'01A2229D404B77ECB252B95BDA7332A5',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(79,16,4,8,1,'run_started',1760000061000000,X'01A2229D405074F1974294FF6E384153',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(80,16,5,8,1,'tool_approval_requested',1760000062000000,X'01A2229D405A7DC0888F799237D7AC96',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2229d405a7c048d61910051effcc5","tool_name":"rm"}',NULL);
INSERT INTO "sessionry_event" VALUES(81,16,6,8,1,'run_waiting',1760000062000000,X'01A2229D405A763CA70EE812FCA5A6C7',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2229d405a7c048d61910051effcc5"}',NULL);
INSERT INTO "sessionry_event" VALUES(82,17,1,NULL,0,'session_created',1760000063000000,X'01A2229D40617621ACB0B58872DAE969',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(83,17,2,NULL,0,'session_started',1760000064000000,X'01A2229D40647864A2B8B7708D6005F2',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(84,17,3,9,0,'run_queued',1760000064000000,X'01A2229D4064778D8CFCE6760BB2CADE',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(85,17,4,9,1,'run_started',1760000065000000,X'01A2229D406B7B27925E6C3302663D2F',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(86,17,5,9,1,'tool_approval_requested',1760000066000000,X'01A2229D40707032B1B2ECBFD29B270F',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2229d407078ca822c1eeb6f0f3d4b","tool_name":"rm"}',NULL);
INSERT INTO "sessionry_event" VALUES(87,17,6,9,1,'run_waiting',1760000066000000,X'01A2229D40717DCABE670A8E2DFA5FD3',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2229d407078ca822c1eeb6f0f3d4b"}',NULL);
INSERT INTO "sessionry_event" VALUES(88,17,7,9,2,'worker_lost',1760000067000000,X'01A2229D40747891ABAE3A016CDA8383',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"parked"}',NULL);
INSERT INTO "sessionry_event" VALUES(89,18,1,NULL,0,'session_created',1760000068000000,X'01A2229D4090763D8220ED0E925EA893',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(90,18,2,NULL,0,'session_started',1760000069000000,X'01A2229D4094788C94C35C8F0943DE7D',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(91,18,3,10,0,'run_queued',1760000069000000,X'01A2229D40947A14B91059E9295ACE97',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(92,18,4,10,1,'run_started',1760000070000000,X'01A2229D409C7C2D8FDD0E490A77DA99',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(93,18,5,10,1,'message_received',1760000071000000,X'0199C82DD558708CBF17FF16C4060AF7',NULL,NULL,NULL,1,'{"text":"at work"}',NULL);
INSERT INTO "sessionry_event" VALUES(94,18,6,10,0,'input_received',1760000072000000,X'01A2229D40A37EB1AEEF64415084BAEA',NULL,NULL,NULL,1,'{"text":"hurry"}',NULL);
INSERT INTO "sessionry_event" VALUES(95,18,7,10,0,'run_cancel_requested',1760000073000000,X'01A2229D40AE7CFC96B782A1C1DC0127',NULL,NULL,NULL,1,'{"reason":"slow"}',NULL);
INSERT INTO "sessionry_event" VALUES(96,19,1,NULL,0,'session_created',1760000074000000,X'01A2229D40B27B8C803DBEC1612C4477',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(97,19,2,NULL,0,'session_started',1760000075000000,X'01A2229D40BC7979B3EAE6BE67E552E9',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(98,19,3,11,0,'run_queued',1760000075000000,X'01A2229D40BC7C4E9ED8644C3AAD7F5B',NULL,NULL,NULL,1,'{"agent_id":"echo","input":{"prompt":"first"},"metadata":{"m":1},"options":{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]},"priority":1}',NULL);
INSERT INTO "sessionry_event" VALUES(99,19,4,12,0,'run_queued',1760000076000000,X'01A2229D40C67B24A994BE0382733A56',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"second","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(100,20,1,NULL,0,'session_created',1760000077000000,X'01A2229D40CF757095868C6546D48518',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(101,20,2,NULL,0,'session_updated',1760000079000000,X'01A2229D40DB73E5A3059DF7E872451B',NULL,NULL,NULL,1,'{"title":"Once"}',NULL);
CREATE TABLE sessionry_gone (
    tenant text not null,
    owner text not null, -- '' for those of the whole tenant
    position integer not null,
    primary key (tenant, owner)
);
CREATE TABLE sessionry_idempotency (
    tenant text not null,
    owner text not null, -- '' for those of the whole tenant
    key text not null,
    digest text not null,
    result text not null,
    created_at integer not null,
    primary key (tenant, owner, key)
) without rowid;
INSERT INTO "sessionry_idempotency" VALUES('local','','key-1','b8522ff6737a17f79f74305e766bb79f87cc2783e7cf75bfcaa2f1eac882c1c7','{"session":"ses_01a2229d40cd74be81cab4b644fdd8ed","run":null,"approval":null,"seqs":[2]}',1760000078000000);
CREATE TABLE sessionry_leader (
    name text primary key,
    holder text not null,
    expires_at integer not null
);
CREATE TABLE sessionry_notice (
    key integer primary key autoincrement,
    id text not null unique,
    webhook integer not null references sessionry_webhook (key) on delete cascade,
    session integer not null references sessionry_session (key) on delete cascade,
    position integer not null,
    type text not null,
    status text not null,
    tries integer not null default 0,
    due_at integer not null,
    problem text,
    http_status integer,
    created_at integer not null,
    unique (webhook, position, type)
);
CREATE TABLE sessionry_run (
    key integer primary key autoincrement,
    id text not null unique,
    session integer not null references sessionry_session (key) on delete cascade,
    first_seq integer not null,
    last_seq integer, -- null until the run has ended
    status text not null,
    agent_id text not null,
    priority integer not null,
    ready integer not null default 0,
    slot integer,
    attempt integer not null,
    fence integer not null,
    delivery integer not null default 0,
    worker text,
    input text not null,
    output text not null,
    error text,
    metadata text not null,
    options text not null,
    agent text,
    cancel text,
    usage text not null,
    cost text,
    turn_count integer not null,
    created_at integer not null,
    updated_at integer not null,
    started_at integer,
    ended_at integer,
    deadline_at integer,
    pruned integer not null default 0, queue text not null default 'default',
    check ((status in ('running', 'waiting')) = (slot is not null))
);
INSERT INTO "sessionry_run" VALUES(1,'run_01a2229d3ea37cab926d3a9ef7d333a5',9,3,17,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"],"native_session_id":"n-1","model":"m-1"}',NULL,'{"input_tokens":10,"output_tokens":2}','0.0123',1,1760000024000000,1760000028000000,1760000025000000,1760000028000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(2,'run_01a2229d3ef57953bafc8bdaddfe9f05',10,3,5,'failed','echo',0,0,NULL,1,1,1,NULL,'"go"','null','{"code":"agent_failed","message":"boom","retryable":true}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000030000000,1760000032000000,1760000031000000,1760000032000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(3,'run_01a2229d3f287a719b978e099beb25c5',11,3,5,'cancelled','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000034000000,1760000036000000,1760000035000000,1760000036000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(4,'run_01a2229d3f56792b84b0ab9c6bea2442',12,3,5,'timeout','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000038000000,1760000040000000,1760000039000000,1760000040000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(5,'run_01a2229d3f95723b9c443397db856ff5',13,3,6,'failed','echo',0,0,NULL,1,2,1,NULL,'"go"','null','{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000042000000,1760000044000001,1760000043000000,1760000044000001,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(6,'run_01a2229d3fca729084ca7ff846b20f35',14,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000046000000,1760000051000000,1760000047000000,1760000051000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(7,'run_01a2229d40177a11b1e58a9a4d2191a1',15,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000053000000,1760000058000000,1760000054000000,1760000058000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(8,'run_01a2229d404b767798264b2fd4f8dfa1',16,3,NULL,'waiting','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000060000000,1760000062000000,1760000061000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(9,'run_01a2229d40647a5fb937c4f4bbfc1922',17,3,NULL,'waiting','echo',0,0,1,1,2,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000064000000,1760000067000000,1760000065000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(10,'run_01a2229d4094735e99abf6049918ae56',18,3,NULL,'running','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}','{"reason":"slow"}','{}',NULL,0,1760000069000000,1760000073000000,1760000070000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(11,'run_01a2229d40bc7e95835eb6d0bd63b217',19,3,NULL,'pending','echo',1,1,NULL,0,0,0,NULL,'{"prompt":"first"}','null',NULL,'{"m":1}','{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]}',NULL,NULL,'{}',NULL,0,1760000075000000,1760000075000000,NULL,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(12,'run_01a2229d40c67ccc9cf58ca9cff2c986',19,4,NULL,'pending','echo',0,0,NULL,0,0,0,NULL,'"second"','null',NULL,'{}','{}',NULL,NULL,'{}',NULL,0,1760000076000000,1760000076000000,NULL,NULL,NULL,0,'default');
CREATE TABLE sessionry_schema (version bigint primary key, name text not null, applied_at bigint not null);
INSERT INTO "sessionry_schema" VALUES(1,'initial',1795877059926603);
INSERT INTO "sessionry_schema" VALUES(2,'tokens',1795877059926779);
INSERT INTO "sessionry_schema" VALUES(3,'queues',1795877059927336);
INSERT INTO "sessionry_schema" VALUES(4,'usage',1795877059927512);
INSERT INTO "sessionry_schema" VALUES(5,'webhooks_and_deeds',1795877059928247);
CREATE TABLE sessionry_session (
    key integer primary key autoincrement,
    id text not null unique,
    tenant text not null,
    owner text,
    agent_id text not null,
    status text not null,
    parent integer references sessionry_session (key) on delete set null,
    parent_id text,
    title text,
    title_folded text,
    cwd text,
    metadata text not null,
    context text not null,
    tags text not null,
    slots integer not null check (slots >= 1),
    queue_limit integer not null check (queue_limit >= 0),
    fence integer not null default 0,
    created_at integer not null,
    updated_at integer not null,
    deleted_at integer,
    version integer not null
);
INSERT INTO "sessionry_session" VALUES(1,'ses_01a2229d3d8a7ec98efd8b8fe1f2accf','local','ann','echo','pending',NULL,NULL,'Changed','changed','/tmp','{"n":[1,null,{"x":2.5}]}','{}','["b c","d"]',1,100,0,1760000004000000,1760000006000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(2,'ses_01a2229d3d9678b89a80ce1876f1ac9b','local','ann','echo','pending',1,'ses_01a2229d3d8a7ec98efd8b8fe1f2accf',NULL,NULL,NULL,'{}','{"system":"be brief"}','[]',2,5,0,1760000005000000,1760000005000000,NULL,1);
INSERT INTO "sessionry_session" VALUES(3,'ses_01a2229d3da676f08d323bcd17b9dc80','local',NULL,'echo','paused',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000007000000,1760000009000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(4,'ses_01a2229d3dd2748183ad3d59b8c13df5','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000010000000,1760000013000000,NULL,4);
INSERT INTO "sessionry_session" VALUES(5,'ses_01a2229d3e06712581c05979adc1aee5','local',NULL,'echo','completed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000014000000,1760000016000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(6,'ses_01a2229d3e5570bda229879b373247aa','local',NULL,'echo','cancelled',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000017000000,1760000018000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(7,'ses_01a2229d3e777176b5e06ad33c74e898','local',NULL,'echo','failed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000019000000,1760000020000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(8,'ses_01a2229d3e89742abbec1f80fab6b79d','local',NULL,'echo','pending',NULL,NULL,'Gone','gone',NULL,'{}','{}','[]',1,100,0,1760000021000000,1760000022000000,1760000022000000,2);
INSERT INTO "sessionry_session" VALUES(9,'ses_01a2229d3e9f72879fec422b1f8068a9','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000023000000,1760000028000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(10,'ses_01a2229d3eea7759988f73b0eacb0deb','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000029000000,1760000032000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(11,'ses_01a2229d3f1b7bbb99c5bc799e0d28a9','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000033000000,1760000036000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(12,'ses_01a2229d3f467e138dfa79ae55393d0c','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000037000000,1760000040000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(13,'ses_01a2229d3f89764abf6edcf5a498478b','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000041000000,1760000044000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(14,'ses_01a2229d3fb876908d76f7722013f51d','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000045000000,1760000051000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(15,'ses_01a2229d400d740cbfad0557a8cbec73','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000052000000,1760000058000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(16,'ses_01a2229d40437de29c39e2617a9f11a8','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000059000000,1760000062000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(17,'ses_01a2229d40617a8db8a9ab438d2a2e1c','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000063000000,1760000066000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(18,'ses_01a2229d408f774990236b2e4425b253','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000068000000,1760000070000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(19,'ses_01a2229d40b27cf5b326e23f2fa1860f','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000074000000,1760000076000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(20,'ses_01a2229d40cd74be81cab4b644fdd8ed','local',NULL,'echo','pending',NULL,NULL,'Once','once',NULL,'{}','{}','[]',1,100,0,1760000077000000,1760000079000000,NULL,2);
CREATE TABLE sessionry_setting (
    name text primary key,
    value text not null
) without rowid;
INSERT INTO "sessionry_setting" VALUES('global_slots','100');
CREATE TABLE sessionry_tag (
    tag text not null,
    session integer not null references sessionry_session (key) on delete cascade,
    primary key (tag, session)
) without rowid;
INSERT INTO "sessionry_tag" VALUES('b c',1);
INSERT INTO "sessionry_tag" VALUES('d',1);
CREATE TABLE sessionry_token (
    key integer primary key autoincrement,
    id text not null unique,
    hash text not null unique, -- SHA-256, hexadecimal
    name text not null,
    tenant text not null,
    owner text, -- null: the whole tenant
    scopes text not null, -- a JSON list
    created_at integer not null,
    expires_at integer,
    revoked_at integer
);
INSERT INTO "sessionry_token" VALUES(1,'tok_01a2229d3d817e87a26698abac4d4fed','f972e05fadbf18239224f231146d2162493089c7850d23b4c6a8fb33ad1d0b19','ci','local','ann','["run"]',1760000002000000,NULL,NULL);
CREATE TABLE sessionry_webhook (
    key integer primary key autoincrement,
    id text not null unique,
    tenant text not null,
    owner text, -- null: the whole tenant
    url text not null,
    types text not null, -- a JSON list
    description text,
    secret text not null,
    cursor integer not null, -- the position up to which the log was entered into sessionry_notice
    created_at integer not null,
    updated_at integer not null,
    failing_since integer,
    disabled_at integer,
    disabled_because text
);
CREATE TABLE sessionry_worker (
    id text primary key,
    host text not null,
    pid integer not null,
    process_start real not null,
    boot_id text not null,
    started_at integer not null,
    expires_at integer not null,
    slots integer not null,
    agents text not null,
    draining integer not null default 0
, queues text not null default '["default"]');
INSERT INTO "sessionry_worker" VALUES('wrk_sample','h',1,1.5,'b',1760000001000000,1760003601000000,3,'["echo"]',0,'["default"]');
CREATE INDEX sessionry_session_updated on sessionry_session (tenant, updated_at, key);
CREATE INDEX sessionry_session_created on sessionry_session (tenant, created_at, key);
CREATE INDEX sessionry_session_status on sessionry_session (tenant, status, updated_at, key);
CREATE INDEX sessionry_session_parent on sessionry_session (parent) where parent is not null;
CREATE INDEX sessionry_tag_session on sessionry_tag (session);
CREATE UNIQUE INDEX sessionry_run_slot on sessionry_run (session, slot) where slot is not null;
CREATE INDEX sessionry_run_session on sessionry_run (session, key);
CREATE INDEX sessionry_run_queue on sessionry_run (session, priority, key) where status = 'pending';
CREATE INDEX sessionry_run_ready on sessionry_run (priority, key) where ready = 1;
CREATE INDEX sessionry_run_worker on sessionry_run (worker) where worker is not null;
CREATE INDEX sessionry_run_deadline on sessionry_run (deadline_at) where deadline_at is not null;
CREATE INDEX sessionry_run_status on sessionry_run (status, key);
CREATE INDEX sessionry_run_unpruned on sessionry_run (ended_at) where pruned = 0 and ended_at is not null;
CREATE UNIQUE INDEX sessionry_event_seq on sessionry_event (session, seq);
CREATE INDEX sessionry_approval_pending on sessionry_approval (status, key);
CREATE INDEX sessionry_approval_session on sessionry_approval (session, key);
CREATE INDEX sessionry_token_tenant on sessionry_token (tenant, key);
CREATE INDEX sessionry_run_head on sessionry_run (queue, priority desc, key) where ready = 1;
CREATE VIEW sessionry_used as
select
    r.key as run,
    r.session as session,
    r.agent_id as agent_id,
    case when json_valid(r.agent) then json_extract(r.agent, '$.model') end as model,
    r.started_at as at,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.input_tokens'), 0) else 0 end as input_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.output_tokens'), 0) else 0 end as output_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.cache_read_tokens'), 0) else 0 end as cache_read_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.cache_write_tokens'), 0) else 0 end as cache_write_tokens,
    case when json_valid(r.usage) then coalesce(json_extract(r.usage, '$.reasoning_tokens'), 0) else 0 end as reasoning_tokens,
    cast(round(cast(r.cost as real) * 1000000000) as integer) as billionths
from sessionry_run r
where r.started_at is not null;
CREATE INDEX sessionry_run_started on sessionry_run (started_at) where started_at is not null;
CREATE INDEX sessionry_webhook_tenant on sessionry_webhook (tenant, key);
CREATE INDEX sessionry_notice_due on sessionry_notice (webhook, status, due_at, key);
CREATE INDEX sessionry_notice_session on sessionry_notice (session);
CREATE INDEX sessionry_deed_tenant on sessionry_deed (tenant, key);
CREATE INDEX sessionry_deed_subject on sessionry_deed (subject, type);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('sessionry_token',1);
INSERT INTO "sqlite_sequence" VALUES('sessionry_deed',1);
INSERT INTO "sqlite_sequence" VALUES('sessionry_session',20);
INSERT INTO "sqlite_sequence" VALUES('sessionry_event',101);
INSERT INTO "sqlite_sequence" VALUES('sessionry_run',12);
INSERT INTO "sqlite_sequence" VALUES('sessionry_approval',4);
COMMIT;
