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
INSERT INTO "sessionry_approval" VALUES(1,'apr_01a2038ea7d97f4f94d5c2bf36d93435',14,6,'k','granted','rm','{"path":"x"}','t','why',1760000046000000,1769000046000000,1760000047000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(2,'apr_01a2038ea7e17ad494191c5af3a5b715',15,7,'k','denied','rm','{"path":"x"}','t','why',1760000053000000,1769000053000000,1760000054000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(3,'apr_01a2038ea7e87abba16a6756225fb145',16,8,'open','pending','rm','null',NULL,NULL,1760000060000000,NULL,NULL,NULL,NULL);
INSERT INTO "sessionry_approval" VALUES(4,'apr_01a2038ea7eb73e7afeea4a2287f24d5',17,9,'open','pending','rm','null',NULL,NULL,1760000064000000,NULL,NULL,NULL,NULL);
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
);
INSERT INTO "sessionry_event" VALUES(1,1,1,NULL,0,'session_created',1760000002000000,X'01A2038EA79D7ACA8A1AE1323B2E65A3','ann',NULL,NULL,1,'{"agent_id":"echo","title":"Größe ÄÖÜ ß 🦀","cwd":"/tmp","metadata":{"n":[1,null,{"x":2.5}]},"tags":["a","b c"]}');
INSERT INTO "sessionry_event" VALUES(2,2,1,NULL,0,'session_created',1760000003000000,X'01A2038EA79F78F590D36D7FD754B05C','ann',NULL,NULL,1,'{"agent_id":"echo","parent_session_id":"ses_01a2038ea79d7e3e85c7e7e49857b9c5","context":{"system":"be brief"},"slots":2,"queue_limit":5}');
INSERT INTO "sessionry_event" VALUES(3,1,2,NULL,0,'session_updated',1760000004000000,X'01A2038EA7A17037B9F7F0F7FB5A6EFD',NULL,NULL,NULL,1,'{"title":"Changed","tags":["b c","d"]}');
INSERT INTO "sessionry_event" VALUES(4,3,1,NULL,0,'session_created',1760000005000000,X'01A2038EA7A37C19BBBE43947A86122C',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(5,3,2,NULL,0,'session_started',1760000006000000,X'01A2038EA7A4716ABD7ECD3DCA43F599',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(6,3,3,NULL,0,'session_paused',1760000007000000,X'01A2038EA7A67182A0166EF4A246585F',NULL,NULL,NULL,1,'{"reason":"lunch"}');
INSERT INTO "sessionry_event" VALUES(7,4,1,NULL,0,'session_created',1760000008000000,X'01A2038EA7A7739BBA9305A7D526BB46',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(8,4,2,NULL,0,'session_started',1760000009000000,X'01A2038EA7A87ED1833FE867CB3EDBCC',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(9,4,3,NULL,0,'session_paused',1760000010000000,X'01A2038EA7A9706CAC22ED41EA8CBEB1',NULL,NULL,NULL,1,'{"reason":"lunch"}');
INSERT INTO "sessionry_event" VALUES(10,4,4,NULL,0,'session_resumed',1760000011000000,X'01A2038EA7A971DF9915B00186DB6C2B',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(11,5,1,NULL,0,'session_created',1760000012000000,X'01A2038EA7AA7E38A6FDF32845495986',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(12,5,2,NULL,0,'session_started',1760000013000000,X'01A2038EA7AB716C8DE98E36F0C4A6C6',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(13,5,3,NULL,0,'session_completed',1760000014000000,X'01A2038EA7AC7345B4229B021EDCF3D1',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(14,6,1,NULL,0,'session_created',1760000015000000,X'01A2038EA7AF73299FF5A84A54404908',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(15,6,2,NULL,0,'session_cancelled',1760000016000000,X'01A2038EA7B17CF690741B0A1839E47B',NULL,NULL,NULL,1,'{"reason":"no"}');
INSERT INTO "sessionry_event" VALUES(16,7,1,NULL,0,'session_created',1760000017000000,X'01A2038EA7B27CF6A9F9F656DE1DC0CC',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(17,7,2,NULL,0,'session_failed',1760000018000000,X'01A2038EA7B37575BDA43F3DD68E0F64',NULL,NULL,NULL,1,'{"error":{"code":"internal_error","message":"oh","details":{"k":"v"}}}');
INSERT INTO "sessionry_event" VALUES(18,8,1,NULL,0,'session_created',1760000019000000,X'01A2038EA7B47417A90214541B3CD865',NULL,NULL,NULL,1,'{"agent_id":"echo","title":"Gone"}');
INSERT INTO "sessionry_event" VALUES(19,8,2,NULL,0,'session_deleted',1760000020000000,X'01A2038EA7B47CF38B18C46AB08311DA',NULL,NULL,NULL,1,'{"reason":"test"}');
INSERT INTO "sessionry_event" VALUES(20,9,1,NULL,0,'session_created',1760000021000000,X'01A2038EA7B57CF19B3CFD07114FAFCC',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(21,9,2,NULL,0,'session_started',1760000022000000,X'01A2038EA7B6778D90CEC2A6AFBDD106',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(22,9,3,1,0,'run_queued',1760000022000000,X'01A2038EA7B67D80B354F1A136AD0B80',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(23,9,4,1,1,'run_started',1760000023000000,X'01A2038EA7B7734A93BF4BAF82302576',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(24,9,5,1,1,'message_streamed',1760000024000000,X'0199C82D1DC0726EB50246707A7EAF5F',NULL,NULL,NULL,1,'{"text":"you "}');
INSERT INTO "sessionry_event" VALUES(25,9,6,1,1,'message_streamed',1760000024000000,X'0199C82D1DC07496ABFEC3536C42C9F6',NULL,NULL,NULL,1,'{"text":"said"}');
INSERT INTO "sessionry_event" VALUES(26,9,7,1,1,'message_received',1760000024000000,X'0199C82D1DC07C31A0C6CA3E1A7F5B76',NULL,NULL,NULL,1,'{"text":"you said \u0000   hi"}');
INSERT INTO "sessionry_event" VALUES(27,9,8,1,1,'tool_call_started',1760000024000000,X'0199C82D1DC076FCBEED309B31BE1DAE',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_input":{"command":"ls"}}');
INSERT INTO "sessionry_event" VALUES(28,9,9,1,1,'tool_call_completed',1760000024000000,X'0199C82D1DC07CA18772A4DF9C364F7C',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_output":"README"}');
INSERT INTO "sessionry_event" VALUES(29,9,10,1,1,'tool_call_started',1760000024000000,X'0199C82D1DC07F79B935436E20B88C47',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash"}');
INSERT INTO "sessionry_event" VALUES(30,9,11,1,1,'custom_recorded',1760000024000000,X'0199C82D1DC076ADBC9776BF8AA35C0F',NULL,NULL,NULL,1,'{"name":"mine","value":{"big":9223372036854775808,"small":-9223372036854775808}}');
INSERT INTO "sessionry_event" VALUES(31,9,12,1,1,'artifact_added',1760000024000000,X'0199C82D1DC07208899EB0F3B0FCE944',NULL,NULL,NULL,1,'{"hash":"0000000000000000000000000000000000000000000000000000000000000000","size":5,"name":"a.txt","media_type":"text/plain"}');
INSERT INTO "sessionry_event" VALUES(32,9,13,1,1,'token_usage_updated',1760000025000000,X'01A2038EA7BA7D68B0F27269DFBBD460',NULL,NULL,NULL,1,'{"usage":{"input_tokens":10,"output_tokens":2},"cost":"0.0123"}');
INSERT INTO "sessionry_event" VALUES(33,9,14,1,1,'agent_session_linked',1760000025000000,X'01A2038EA7BA77A7AE3D5FEEC4403B8C',NULL,NULL,NULL,1,'{"native_session_id":"n-1","model":"m-1"}');
INSERT INTO "sessionry_event" VALUES(34,9,15,1,1,'turn_completed',1760000025000000,X'01A2038EA7BA70679C89D34111A8AA9C',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(35,9,16,1,0,'tool_call_interrupted',1760000026000000,X'01A2038EA7BC7978AACA5B5491BF1652',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash","reason":"run_completed"}');
INSERT INTO "sessionry_event" VALUES(36,9,17,1,1,'run_completed',1760000026000000,X'01A2038EA7BC7ED58022464152842213',NULL,NULL,NULL,1,'{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}');
INSERT INTO "sessionry_event" VALUES(37,10,1,NULL,0,'session_created',1760000027000000,X'01A2038EA7BD71A5B634CC1751F802CF',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(38,10,2,NULL,0,'session_started',1760000028000000,X'01A2038EA7BE7BB99BC1ED725144AEF6',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(39,10,3,2,0,'run_queued',1760000028000000,X'01A2038EA7BE71BE853149BC72B7F20B',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(40,10,4,2,1,'run_started',1760000029000000,X'01A2038EA7BF7B21851EE699D907DCAD',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(41,10,5,2,1,'run_failed',1760000030000000,X'01A2038EA7C07E1BA6264A67ECA7C261',NULL,NULL,NULL,1,'{"error":{"code":"agent_failed","message":"boom","retryable":true}}');
INSERT INTO "sessionry_event" VALUES(42,11,1,NULL,0,'session_created',1760000031000000,X'01A2038EA7C17DABB0C03A0BE2701A9C',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(43,11,2,NULL,0,'session_started',1760000032000000,X'01A2038EA7C171D48042000AE9867AB4',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(44,11,3,3,0,'run_queued',1760000032000000,X'01A2038EA7C17BE5AAFF302E6D67D390',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(45,11,4,3,1,'run_started',1760000033000000,X'01A2038EA7C379419D86706DEC14DBFA',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(46,11,5,3,1,'run_cancelled',1760000034000000,X'01A2038EA7C47952B0EA4F47C9897B1C',NULL,NULL,NULL,1,'{"reason":"stop"}');
INSERT INTO "sessionry_event" VALUES(47,12,1,NULL,0,'session_created',1760000035000000,X'01A2038EA7C57531B7C8838E1CF238C8',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(48,12,2,NULL,0,'session_started',1760000036000000,X'01A2038EA7C672758F5FFC8A1CE8F56E',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(49,12,3,4,0,'run_queued',1760000036000000,X'01A2038EA7C670FB8B0067BE80FF5157',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(50,12,4,4,1,'run_started',1760000037000000,X'01A2038EA7C77713AFFA17992D4BD7B4',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(51,12,5,4,1,'run_timeout',1760000038000000,X'01A2038EA7D27E5398312E9E26167078',NULL,NULL,NULL,1,'{"limit":"timeout","seconds":5.0}');
INSERT INTO "sessionry_event" VALUES(52,13,1,NULL,0,'session_created',1760000039000000,X'01A2038EA7D372D48B01548B65B601E9',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(53,13,2,NULL,0,'session_started',1760000040000000,X'01A2038EA7D47F40BA9A23FE9AF3770A',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(54,13,3,5,0,'run_queued',1760000040000000,X'01A2038EA7D478CEAEB1CF44A9E4D939',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(55,13,4,5,1,'run_started',1760000041000000,X'01A2038EA7D57AA595AC94433C3CC11A',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(56,13,5,5,2,'worker_lost',1760000042000000,X'01A2038EA7D6754D959D1BD32B400DC4',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"stopped"}');
INSERT INTO "sessionry_event" VALUES(57,13,6,5,2,'run_failed',1760000042000000,X'01A2038EA7D670469F4BA0A85B7E5E3C',NULL,NULL,NULL,1,'{"error":{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}}');
INSERT INTO "sessionry_event" VALUES(58,14,1,NULL,0,'session_created',1760000043000000,X'01A2038EA7D77204ADF2B88332EF7DC7',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(59,14,2,NULL,0,'session_started',1760000044000000,X'01A2038EA7D87541AEB119BC4CD64A00',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(60,14,3,6,0,'run_queued',1760000044000000,X'01A2038EA7D8743893398A300743B8CD',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(61,14,4,6,1,'run_started',1760000045000000,X'01A2038EA7D87FEDA923CFDED3656820',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(62,14,5,6,1,'tool_approval_requested',1760000046000000,X'01A2038EA7D97F92BFF2432F7D88670A',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2038ea7d97f4f94d5c2bf36d93435","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:06Z"}');
INSERT INTO "sessionry_event" VALUES(63,14,6,6,1,'run_waiting',1760000046000000,X'01A2038EA7DA7B1FB5EAD54D07C67DF3',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2038ea7d97f4f94d5c2bf36d93435"}');
INSERT INTO "sessionry_event" VALUES(64,14,7,6,0,'tool_approval_granted',1760000047000000,X'01A2038EA7DB75129234CCA6F8C00D9F','ann',NULL,NULL,1,'{"approval_id":"apr_01a2038ea7d97f4f94d5c2bf36d93435","tool_name":"rm","by":"ann","note":"ok"}');
INSERT INTO "sessionry_event" VALUES(65,14,8,6,1,'run_resumed',1760000048000000,X'01A2038EA7DC7FBFABC818FFE368695E',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2038ea7d97f4f94d5c2bf36d93435"}');
INSERT INTO "sessionry_event" VALUES(66,14,9,6,1,'run_completed',1760000049000000,X'01A2038EA7DD77D0A48A4446868951E7',NULL,NULL,NULL,1,'{"text":"done"}');
INSERT INTO "sessionry_event" VALUES(67,15,1,NULL,0,'session_created',1760000050000000,X'01A2038EA7DE7E0AA041827B38F3C1C0',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(68,15,2,NULL,0,'session_started',1760000051000000,X'01A2038EA7DF755BBA70073D75006928',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(69,15,3,7,0,'run_queued',1760000051000000,X'01A2038EA7DF76059AC19F497FA5472F',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(70,15,4,7,1,'run_started',1760000052000000,X'01A2038EA7E17C8A92ED7A62C0B30B8A',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(71,15,5,7,1,'tool_approval_requested',1760000053000000,X'01A2038EA7E2736AB7C4C27AE41E877A',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2038ea7e17ad494191c5af3a5b715","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:13Z"}');
INSERT INTO "sessionry_event" VALUES(72,15,6,7,1,'run_waiting',1760000053000000,X'01A2038EA7E270F2966063C31BC1C535',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2038ea7e17ad494191c5af3a5b715"}');
INSERT INTO "sessionry_event" VALUES(73,15,7,7,0,'tool_approval_denied',1760000054000000,X'01A2038EA7E37892A8153B346243F71A','ann',NULL,NULL,1,'{"approval_id":"apr_01a2038ea7e17ad494191c5af3a5b715","tool_name":"rm","by":"ann","note":"ok"}');
INSERT INTO "sessionry_event" VALUES(74,15,8,7,1,'run_resumed',1760000055000000,X'01A2038EA7E47DBAB65DED449DD53739',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2038ea7e17ad494191c5af3a5b715"}');
INSERT INTO "sessionry_event" VALUES(75,15,9,7,1,'run_completed',1760000056000000,X'01A2038EA7E574AA86ECA574B6CEC1A2',NULL,NULL,NULL,1,'{"text":"done"}');
INSERT INTO "sessionry_event" VALUES(76,16,1,NULL,0,'session_created',1760000057000000,X'01A2038EA7E578A28221D0FEA0D39159',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(77,16,2,NULL,0,'session_started',1760000058000000,X'01A2038EA7E67303B9E954111F6F8A36',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(78,16,3,8,0,'run_queued',1760000058000000,X'01A2038EA7E6739597347997468E87D9',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(79,16,4,8,1,'run_started',1760000059000000,X'01A2038EA7E7763992A44BC4866B8416',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(80,16,5,8,1,'tool_approval_requested',1760000060000000,X'01A2038EA7E87A0FAC95529AF3713F09',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2038ea7e87abba16a6756225fb145","tool_name":"rm"}');
INSERT INTO "sessionry_event" VALUES(81,16,6,8,1,'run_waiting',1760000060000000,X'01A2038EA7E8794AB05ED0A5AA53BF07',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2038ea7e87abba16a6756225fb145"}');
INSERT INTO "sessionry_event" VALUES(82,17,1,NULL,0,'session_created',1760000061000000,X'01A2038EA7E97878AA17213BC4346C8F',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(83,17,2,NULL,0,'session_started',1760000062000000,X'01A2038EA7EA760DA09CE1374FE469C4',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(84,17,3,9,0,'run_queued',1760000062000000,X'01A2038EA7EA7B3E9DF4B5F7099C10CB',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(85,17,4,9,1,'run_started',1760000063000000,X'01A2038EA7EA7E319677B32176ABF787',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(86,17,5,9,1,'tool_approval_requested',1760000064000000,X'01A2038EA7EB76619B80545A56521A4D',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2038ea7eb73e7afeea4a2287f24d5","tool_name":"rm"}');
INSERT INTO "sessionry_event" VALUES(87,17,6,9,1,'run_waiting',1760000064000000,X'01A2038EA7EB7AF7ACE03CABC5513502',NULL,NULL,NULL,1,'{"approval_id":"apr_01a2038ea7eb73e7afeea4a2287f24d5"}');
INSERT INTO "sessionry_event" VALUES(88,17,7,9,2,'worker_lost',1760000065000000,X'01A2038EA7EC7F47A5F820F242DFDC10',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"parked"}');
INSERT INTO "sessionry_event" VALUES(89,18,1,NULL,0,'session_created',1760000066000000,X'01A2038EA7ED7975BEC4A3EA3AD043F1',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(90,18,2,NULL,0,'session_started',1760000067000000,X'01A2038EA7EE7D258BA4CA07076DACCF',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(91,18,3,10,0,'run_queued',1760000067000000,X'01A2038EA7EE772FAF1C803A382F8535',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(92,18,4,10,1,'run_started',1760000068000000,X'01A2038EA7EE721D8547607100A8D6A5',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(93,18,5,10,1,'message_received',1760000069000000,X'0199C82DCD8877FA945ACCE31F784773',NULL,NULL,NULL,1,'{"text":"at work"}');
INSERT INTO "sessionry_event" VALUES(94,18,6,10,0,'input_received',1760000070000000,X'01A2038EA7F074D099DD6F424C101581',NULL,NULL,NULL,1,'{"text":"hurry"}');
INSERT INTO "sessionry_event" VALUES(95,18,7,10,0,'run_cancel_requested',1760000071000000,X'01A2038EA7F17A1D891F695361FF83DA',NULL,NULL,NULL,1,'{"reason":"slow"}');
INSERT INTO "sessionry_event" VALUES(96,19,1,NULL,0,'session_created',1760000072000000,X'01A2038EA7F3738C8BB9243DD5CB8023',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(97,19,2,NULL,0,'session_started',1760000073000000,X'01A2038EA7F4715FAC6FDFD4E20C54F7',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(98,19,3,11,0,'run_queued',1760000073000000,X'01A2038EA7F47A78AF27B5CBDAC46BD9',NULL,NULL,NULL,1,'{"agent_id":"echo","input":{"prompt":"first"},"metadata":{"m":1},"options":{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]},"priority":1}');
INSERT INTO "sessionry_event" VALUES(99,19,4,12,0,'run_queued',1760000074000000,X'01A2038EA7F573359C10B2AE63D5EA8F',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"second","options":{}}');
INSERT INTO "sessionry_event" VALUES(100,20,1,NULL,0,'session_created',1760000075000000,X'01A2038EA7F67BDDA1CFAC75C92AAC7F',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(101,20,2,NULL,0,'session_updated',1760000077000000,X'01A2038EA7F87521ADBDA5D05C69F583',NULL,NULL,NULL,1,'{"title":"Once"}');
CREATE TABLE sessionry_idempotency (
    tenant text not null,
    owner text not null, -- '' for those of the whole tenant
    key text not null,
    digest text not null,
    result text not null,
    created_at integer not null,
    primary key (tenant, owner, key)
) without rowid;
INSERT INTO "sessionry_idempotency" VALUES('local','','key-1','a1417aa476d16739e9be24771c26dec342f75f63535ec72749125f12f3babfd9','{"session":"ses_01a2038ea7f67ed39850cae23e03d318","run":null,"approval":null,"seqs":[2]}',1760000076000000);
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
    pruned integer not null default 0,
    check ((status in ('running', 'waiting')) = (slot is not null))
);
INSERT INTO "sessionry_run" VALUES(1,'run_01a2038ea7b67c3382517f82e8079423',9,3,17,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"],"native_session_id":"n-1","model":"m-1"}',NULL,'{"input_tokens":10,"output_tokens":2}','0.0123',1,1760000022000000,1760000026000000,1760000023000000,1760000026000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(2,'run_01a2038ea7be70a499e15cec8d18af61',10,3,5,'failed','echo',0,0,NULL,1,1,1,NULL,'"go"','null','{"code":"agent_failed","message":"boom","retryable":true}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000028000000,1760000030000000,1760000029000000,1760000030000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(3,'run_01a2038ea7c1781990a65204466298d0',11,3,5,'cancelled','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000032000000,1760000034000000,1760000033000000,1760000034000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(4,'run_01a2038ea7c67576bc8837b950cc15e6',12,3,5,'timeout','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000036000000,1760000038000000,1760000037000000,1760000038000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(5,'run_01a2038ea7d471aea6efbf12f0189da6',13,3,6,'failed','echo',0,0,NULL,1,2,1,NULL,'"go"','null','{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000040000000,1760000042000001,1760000041000000,1760000042000001,NULL,0);
INSERT INTO "sessionry_run" VALUES(6,'run_01a2038ea7d87940b412084380e8b6b7',14,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000044000000,1760000049000000,1760000045000000,1760000049000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(7,'run_01a2038ea7df7222bf8511907bd53080',15,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000051000000,1760000056000000,1760000052000000,1760000056000000,NULL,0);
INSERT INTO "sessionry_run" VALUES(8,'run_01a2038ea7e67a3aa69b3e6b7f148957',16,3,NULL,'waiting','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000058000000,1760000060000000,1760000059000000,NULL,NULL,0);
INSERT INTO "sessionry_run" VALUES(9,'run_01a2038ea7ea7faea0fa9c4c01f8bb71',17,3,NULL,'waiting','echo',0,0,1,1,2,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000062000000,1760000065000000,1760000063000000,NULL,NULL,0);
INSERT INTO "sessionry_run" VALUES(10,'run_01a2038ea7ee762fb868b133040f1670',18,3,NULL,'running','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}','{"reason":"slow"}','{}',NULL,0,1760000067000000,1760000071000000,1760000068000000,NULL,NULL,0);
INSERT INTO "sessionry_run" VALUES(11,'run_01a2038ea7f47102aa6314cd8f8b1e53',19,3,NULL,'pending','echo',1,1,NULL,0,0,0,NULL,'{"prompt":"first"}','null',NULL,'{"m":1}','{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]}',NULL,NULL,'{}',NULL,0,1760000073000000,1760000073000000,NULL,NULL,NULL,0);
INSERT INTO "sessionry_run" VALUES(12,'run_01a2038ea7f579a5adc5c51abf71d589',19,4,NULL,'pending','echo',0,0,NULL,0,0,0,NULL,'"second"','null',NULL,'{}','{}',NULL,NULL,'{}',NULL,0,1760000074000000,1760000074000000,NULL,NULL,NULL,0);
CREATE TABLE sessionry_schema (version bigint primary key, name text not null, applied_at bigint not null);
INSERT INTO "sessionry_schema" VALUES(1,'initial',1795356010385131);
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
INSERT INTO "sessionry_session" VALUES(1,'ses_01a2038ea79d7e3e85c7e7e49857b9c5','local','ann','echo','pending',NULL,NULL,'Changed','changed','/tmp','{"n":[1,null,{"x":2.5}]}','{}','["b c","d"]',1,100,0,1760000002000000,1760000004000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(2,'ses_01a2038ea79f7bdc9913245d4957a2db','local','ann','echo','pending',1,'ses_01a2038ea79d7e3e85c7e7e49857b9c5',NULL,NULL,NULL,'{}','{"system":"be brief"}','[]',2,5,0,1760000003000000,1760000003000000,NULL,1);
INSERT INTO "sessionry_session" VALUES(3,'ses_01a2038ea7a278aca28196503563b419','local',NULL,'echo','paused',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000005000000,1760000007000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(4,'ses_01a2038ea7a77d95bbdafab872117edf','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000008000000,1760000011000000,NULL,4);
INSERT INTO "sessionry_session" VALUES(5,'ses_01a2038ea7aa70e8ab0716e8ac7c021c','local',NULL,'echo','completed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000012000000,1760000014000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(6,'ses_01a2038ea7af7e2daa28a81a2a6e5a12','local',NULL,'echo','cancelled',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000015000000,1760000016000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(7,'ses_01a2038ea7b2782e8893a1a493152eef','local',NULL,'echo','failed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000017000000,1760000018000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(8,'ses_01a2038ea7b47e978e4fc0f619cbefdd','local',NULL,'echo','pending',NULL,NULL,'Gone','gone',NULL,'{}','{}','[]',1,100,0,1760000019000000,1760000020000000,1760000020000000,2);
INSERT INTO "sessionry_session" VALUES(9,'ses_01a2038ea7b5796689bbd08920400043','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000021000000,1760000026000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(10,'ses_01a2038ea7bd74fba59c48f2dd2f64b7','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000027000000,1760000030000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(11,'ses_01a2038ea7c17597a436a4c8209034d9','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000031000000,1760000034000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(12,'ses_01a2038ea7c574b3865ffefcbb78f841','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000035000000,1760000038000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(13,'ses_01a2038ea7d376b2b80d8f9396d0a0d5','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000039000000,1760000042000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(14,'ses_01a2038ea7d77e08986450b4947728de','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000043000000,1760000049000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(15,'ses_01a2038ea7de794f9e73804a0432b1d7','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000050000000,1760000056000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(16,'ses_01a2038ea7e573c29174fd19e51d3c89','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000057000000,1760000060000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(17,'ses_01a2038ea7e9781296af1e09f690038f','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000061000000,1760000064000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(18,'ses_01a2038ea7ed7c12b58c3aeea41922e1','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000066000000,1760000068000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(19,'ses_01a2038ea7f37bcc831ac1a00483cfb6','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000072000000,1760000074000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(20,'ses_01a2038ea7f67ed39850cae23e03d318','local',NULL,'echo','pending',NULL,NULL,'Once','once',NULL,'{}','{}','[]',1,100,0,1760000075000000,1760000077000000,NULL,2);
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
);
INSERT INTO "sessionry_worker" VALUES('wrk_sample','h',1,1.5,'b',1760000001000000,1760003601000000,3,'["echo"]',0);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('sessionry_session',20);
INSERT INTO "sqlite_sequence" VALUES('sessionry_event',101);
INSERT INTO "sqlite_sequence" VALUES('sessionry_run',12);
INSERT INTO "sqlite_sequence" VALUES('sessionry_approval',4);
COMMIT;
