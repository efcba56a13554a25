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
INSERT INTO "sessionry_approval" VALUES(1,'apr_01a222543e49752dbda7ab2cf43012be',14,6,'k','granted','rm','{"path":"x"}','t','why',1760000047000000,1769000047000000,1760000048000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(2,'apr_01a222543e527ed5b2b444817f142a6e',15,7,'k','denied','rm','{"path":"x"}','t','why',1760000054000000,1769000054000000,1760000055000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(3,'apr_01a222543e5b71bebe032c215611cb1a',16,8,'open','pending','rm','null',NULL,NULL,1760000061000000,NULL,NULL,NULL,NULL);
INSERT INTO "sessionry_approval" VALUES(4,'apr_01a222543e607edd8cc9a04d8422e958',17,9,'open','pending','rm','null',NULL,NULL,1760000065000000,NULL,NULL,NULL,NULL);
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
INSERT INTO "sessionry_event" VALUES(1,1,1,NULL,0,'session_created',1760000003000000,X'01A222543E1276899B1AD080A7068617','ann',NULL,NULL,1,'{"agent_id":"echo","title":"Größe ÄÖÜ ß 🦀","cwd":"/tmp","metadata":{"n":[1,null,{"x":2.5}]},"tags":["a","b c"]}');
INSERT INTO "sessionry_event" VALUES(2,2,1,NULL,0,'session_created',1760000004000000,X'01A222543E147CFB8A4CD71F740DC471','ann',NULL,NULL,1,'{"agent_id":"echo","parent_session_id":"ses_01a222543e1177efbebbe08d80826e7a","context":{"system":"be brief"},"slots":2,"queue_limit":5}');
INSERT INTO "sessionry_event" VALUES(3,1,2,NULL,0,'session_updated',1760000005000000,X'01A222543E1675D0A13ED22C2515EEF2',NULL,NULL,NULL,1,'{"title":"Changed","tags":["b c","d"]}');
INSERT INTO "sessionry_event" VALUES(4,3,1,NULL,0,'session_created',1760000006000000,X'01A222543E1772B284FD72407D14F695',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(5,3,2,NULL,0,'session_started',1760000007000000,X'01A222543E18757592A2C58B77D2A476',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(6,3,3,NULL,0,'session_paused',1760000008000000,X'01A222543E197B74BE09957FC0C5017C',NULL,NULL,NULL,1,'{"reason":"lunch"}');
INSERT INTO "sessionry_event" VALUES(7,4,1,NULL,0,'session_created',1760000009000000,X'01A222543E1A7D33BC49A85C7320F210',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(8,4,2,NULL,0,'session_started',1760000010000000,X'01A222543E1B7EE0BF31DACEE59670E9',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(9,4,3,NULL,0,'session_paused',1760000011000000,X'01A222543E1C76C48F1E9D229B3831A2',NULL,NULL,NULL,1,'{"reason":"lunch"}');
INSERT INTO "sessionry_event" VALUES(10,4,4,NULL,0,'session_resumed',1760000012000000,X'01A222543E1D7B60B2158666113A3BA8',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(11,5,1,NULL,0,'session_created',1760000013000000,X'01A222543E1E79F58486ECE85AD0D401',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(12,5,2,NULL,0,'session_started',1760000014000000,X'01A222543E1F7071B9DC4D49BEE1F256',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(13,5,3,NULL,0,'session_completed',1760000015000000,X'01A222543E2078E9A8D684FF19FEBD1D',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(14,6,1,NULL,0,'session_created',1760000016000000,X'01A222543E217F8AB8ADF2FBD071235D',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(15,6,2,NULL,0,'session_cancelled',1760000017000000,X'01A222543E237D0F9B559C27F97111F9',NULL,NULL,NULL,1,'{"reason":"no"}');
INSERT INTO "sessionry_event" VALUES(16,7,1,NULL,0,'session_created',1760000018000000,X'01A222543E247B1AA2A026D789868275',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(17,7,2,NULL,0,'session_failed',1760000019000000,X'01A222543E2578A2B0EBF66F67D9B8AE',NULL,NULL,NULL,1,'{"error":{"code":"internal_error","message":"oh","details":{"k":"v"}}}');
INSERT INTO "sessionry_event" VALUES(18,8,1,NULL,0,'session_created',1760000020000000,X'01A222543E267FF1B2804E2552E6A106',NULL,NULL,NULL,1,'{"agent_id":"echo","title":"Gone"}');
INSERT INTO "sessionry_event" VALUES(19,8,2,NULL,0,'session_deleted',1760000021000000,X'01A222543E27739AA347066AF02762B8',NULL,NULL,NULL,1,'{"reason":"test"}');
INSERT INTO "sessionry_event" VALUES(20,9,1,NULL,0,'session_created',1760000022000000,X'01A222543E2874BA9E432191E568B3B7',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(21,9,2,NULL,0,'session_started',1760000023000000,X'01A222543E2971F28A56B44AD1D97DC3',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(22,9,3,1,0,'run_queued',1760000023000000,X'01A222543E297120BB0B1F15A6BFB9DF',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(23,9,4,1,1,'run_started',1760000024000000,X'01A222543E2B788190B93880016E3BF4',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(24,9,5,1,1,'message_streamed',1760000025000000,X'0199C82D21A87C22B511FA3B5AB3198E',NULL,NULL,NULL,1,'{"text":"you "}');
INSERT INTO "sessionry_event" VALUES(25,9,6,1,1,'message_streamed',1760000025000000,X'0199C82D21A879FAB30F909EB6A9A8AB',NULL,NULL,NULL,1,'{"text":"said"}');
INSERT INTO "sessionry_event" VALUES(26,9,7,1,1,'message_received',1760000025000000,X'0199C82D21A87E74B1E878FCE3E8E0DB',NULL,NULL,NULL,1,'{"text":"you said \u0000   hi"}');
INSERT INTO "sessionry_event" VALUES(27,9,8,1,1,'tool_call_started',1760000025000000,X'0199C82D21A87FB4AA631C49D97F2262',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_input":{"command":"ls"}}');
INSERT INTO "sessionry_event" VALUES(28,9,9,1,1,'tool_call_completed',1760000025000000,X'0199C82D21A8724FAD8189970379438C',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_output":"README"}');
INSERT INTO "sessionry_event" VALUES(29,9,10,1,1,'tool_call_started',1760000025000000,X'0199C82D21A87A14B77FCB58F9538778',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash"}');
INSERT INTO "sessionry_event" VALUES(30,9,11,1,1,'custom_recorded',1760000025000000,X'0199C82D21A872F7BF64B129F7E68EF0',NULL,NULL,NULL,1,'{"name":"mine","value":{"big":9223372036854775808,"small":-9223372036854775808}}');
INSERT INTO "sessionry_event" VALUES(31,9,12,1,1,'artifact_added',1760000025000000,X'0199C82D21A8785CB2EB877A78768155',NULL,NULL,NULL,1,'{"hash":"0000000000000000000000000000000000000000000000000000000000000000","size":5,"name":"a.txt","media_type":"text/plain"}');
INSERT INTO "sessionry_event" VALUES(32,9,13,1,1,'token_usage_updated',1760000026000000,X'01A222543E2E7AE49350667AE8DBD944',NULL,NULL,NULL,1,'{"usage":{"input_tokens":10,"output_tokens":2},"cost":"0.0123"}');
INSERT INTO "sessionry_event" VALUES(33,9,14,1,1,'agent_session_linked',1760000026000000,X'01A222543E2F7048AFDC7F71E6E67F96',NULL,NULL,NULL,1,'{"native_session_id":"n-1","model":"m-1"}');
INSERT INTO "sessionry_event" VALUES(34,9,15,1,1,'turn_completed',1760000026000000,X'01A222543E2F75D59E8DEDDECA82803E',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(35,9,16,1,0,'tool_call_interrupted',1760000027000000,X'01A222543E3075A9969BFE5977451670',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash","reason":"run_completed"}');
INSERT INTO "sessionry_event" VALUES(36,9,17,1,1,'run_completed',1760000027000000,X'01A222543E317CEF8F56FBCBBEA40DBD',NULL,NULL,NULL,1,'{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}');
INSERT INTO "sessionry_event" VALUES(37,10,1,NULL,0,'session_created',1760000028000000,X'01A222543E32738488A2B7609C77CCE1',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(38,10,2,NULL,0,'session_started',1760000029000000,X'01A222543E3377EEA5B6D140681C2426',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(39,10,3,2,0,'run_queued',1760000029000000,X'01A222543E337B6B9B93C70856FD1E37',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(40,10,4,2,1,'run_started',1760000030000000,X'01A222543E3576968ECC491479BF3C76',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(41,10,5,2,1,'run_failed',1760000031000000,X'01A222543E3671BA93DDEDDE65D20CDA',NULL,NULL,NULL,1,'{"error":{"code":"agent_failed","message":"boom","retryable":true}}');
INSERT INTO "sessionry_event" VALUES(42,11,1,NULL,0,'session_created',1760000032000000,X'01A222543E377BA7B708C45C1BB541C1',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(43,11,2,NULL,0,'session_started',1760000033000000,X'01A222543E387ADF96E868B0D302786D',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(44,11,3,3,0,'run_queued',1760000033000000,X'01A222543E387599BEFCE587BCDF0A06',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(45,11,4,3,1,'run_started',1760000034000000,X'01A222543E3A750A8BC7280C41E88191',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(46,11,5,3,1,'run_cancelled',1760000035000000,X'01A222543E3B712690EA8819F49F4B53',NULL,NULL,NULL,1,'{"reason":"stop"}');
INSERT INTO "sessionry_event" VALUES(47,12,1,NULL,0,'session_created',1760000036000000,X'01A222543E3C753A84FC223187A851DD',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(48,12,2,NULL,0,'session_started',1760000037000000,X'01A222543E3D7CE7BEC29F04FDC9A4D1',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(49,12,3,4,0,'run_queued',1760000037000000,X'01A222543E3D75D195F014576BD747F6',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(50,12,4,4,1,'run_started',1760000038000000,X'01A222543E3E7B839A62103370603C43',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(51,12,5,4,1,'run_timeout',1760000039000000,X'01A222543E4074EE9A9AE781A3BF31FE',NULL,NULL,NULL,1,'{"limit":"timeout","seconds":5.0}');
INSERT INTO "sessionry_event" VALUES(52,13,1,NULL,0,'session_created',1760000040000000,X'01A222543E4170ECB988794E9880582F',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(53,13,2,NULL,0,'session_started',1760000041000000,X'01A222543E427569B18920DCFA29A3F0',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(54,13,3,5,0,'run_queued',1760000041000000,X'01A222543E427FC999B852E29290F17D',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(55,13,4,5,1,'run_started',1760000042000000,X'01A222543E4377B688040B389DA761F5',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(56,13,5,5,2,'worker_lost',1760000043000000,X'01A222543E44749FA0BB42826A69EB93',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"stopped"}');
INSERT INTO "sessionry_event" VALUES(57,13,6,5,2,'run_failed',1760000043000000,X'01A222543E4571C79AC0FEC5EEE11BA5',NULL,NULL,NULL,1,'{"error":{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}}');
INSERT INTO "sessionry_event" VALUES(58,14,1,NULL,0,'session_created',1760000044000000,X'01A222543E467B4CA79F611980B5D2E8',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(59,14,2,NULL,0,'session_started',1760000045000000,X'01A222543E4772DC99401F30D827585A',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(60,14,3,6,0,'run_queued',1760000045000000,X'01A222543E47700A99EF28641492BAC0',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(61,14,4,6,1,'run_started',1760000046000000,X'01A222543E487A10A9F3A70F03CAE247',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(62,14,5,6,1,'tool_approval_requested',1760000047000000,X'01A222543E497BCC8417B2254C9950C4',NULL,NULL,NULL,1,'{"approval_id":"apr_01a222543e49752dbda7ab2cf43012be","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:07Z"}');
INSERT INTO "sessionry_event" VALUES(63,14,6,6,1,'run_waiting',1760000047000000,X'01A222543E4A7187A1E9832E82589EEB',NULL,NULL,NULL,1,'{"approval_id":"apr_01a222543e49752dbda7ab2cf43012be"}');
INSERT INTO "sessionry_event" VALUES(64,14,7,6,0,'tool_approval_granted',1760000048000000,X'01A222543E4B75D4AE92BD8B76D436FB','ann',NULL,NULL,1,'{"approval_id":"apr_01a222543e49752dbda7ab2cf43012be","tool_name":"rm","by":"ann","note":"ok"}');
INSERT INTO "sessionry_event" VALUES(65,14,8,6,1,'run_resumed',1760000049000000,X'01A222543E4C7D9483AF0D344BBFE54E',NULL,NULL,NULL,1,'{"approval_id":"apr_01a222543e49752dbda7ab2cf43012be"}');
INSERT INTO "sessionry_event" VALUES(66,14,9,6,1,'run_completed',1760000050000000,X'01A222543E4D707FA58366F9D9CEA778',NULL,NULL,NULL,1,'{"text":"done"}');
INSERT INTO "sessionry_event" VALUES(67,15,1,NULL,0,'session_created',1760000051000000,X'01A222543E4E7F319FB316F4383B33FA',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(68,15,2,NULL,0,'session_started',1760000052000000,X'01A222543E5070CDBEDA2BC665AB4D36',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(69,15,3,7,0,'run_queued',1760000052000000,X'01A222543E507FB29DA295A552C14970',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(70,15,4,7,1,'run_started',1760000053000000,X'01A222543E517A2AA16FE68DF31CDC7F',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(71,15,5,7,1,'tool_approval_requested',1760000054000000,X'01A222543E527C90A914F7DC6BB00E37',NULL,NULL,NULL,1,'{"approval_id":"apr_01a222543e527ed5b2b444817f142a6e","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:14Z"}');
INSERT INTO "sessionry_event" VALUES(72,15,6,7,1,'run_waiting',1760000054000000,X'01A222543E527BF3A9348E320E05C290',NULL,NULL,NULL,1,'{"approval_id":"apr_01a222543e527ed5b2b444817f142a6e"}');
INSERT INTO "sessionry_event" VALUES(73,15,7,7,0,'tool_approval_denied',1760000055000000,X'01A222543E54737EA85196B03E81C231','ann',NULL,NULL,1,'{"approval_id":"apr_01a222543e527ed5b2b444817f142a6e","tool_name":"rm","by":"ann","note":"ok"}');
INSERT INTO "sessionry_event" VALUES(74,15,8,7,1,'run_resumed',1760000056000000,X'01A222543E5574E8B8841F2FCCC2B9C7',NULL,NULL,NULL,1,'{"approval_id":"apr_01a222543e527ed5b2b444817f142a6e"}');
INSERT INTO "sessionry_event" VALUES(75,15,9,7,1,'run_completed',1760000057000000,X'01A222543E567F8BB5F78AB5FAE4EB49',NULL,NULL,NULL,1,'{"text":"done"}');
INSERT INTO "sessionry_event" VALUES(76,16,1,NULL,0,'session_created',1760000058000000,X'01A222543E577C8A992D93B829B8532D',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(77,16,2,NULL,0,'session_started',1760000059000000,X'01A222543E5878798E9CEFFF4E614EF1',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(78,16,3,8,0,'run_queued',1760000059000000,X'01A222543E5878F8B42B8E059E05794B',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(79,16,4,8,1,'run_started',1760000060000000,X'01A222543E59714699C3763662D8C116',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(80,16,5,8,1,'tool_approval_requested',1760000061000000,X'01A222543E5B70E6B683ECDF007CA44C',NULL,NULL,NULL,1,'{"approval_id":"apr_01a222543e5b71bebe032c215611cb1a","tool_name":"rm"}');
INSERT INTO "sessionry_event" VALUES(81,16,6,8,1,'run_waiting',1760000061000000,X'01A222543E5B735FA9BA35C8501DB161',NULL,NULL,NULL,1,'{"approval_id":"apr_01a222543e5b71bebe032c215611cb1a"}');
INSERT INTO "sessionry_event" VALUES(82,17,1,NULL,0,'session_created',1760000062000000,X'01A222543E5C76A59CBB39FF5D62D102',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(83,17,2,NULL,0,'session_started',1760000063000000,X'01A222543E5D70B7B63A9A509B22B8A0',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(84,17,3,9,0,'run_queued',1760000063000000,X'01A222543E5D727B8695C3D09117F574',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(85,17,4,9,1,'run_started',1760000064000000,X'01A222543E5F7A3B8BD36DD0181119C1',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(86,17,5,9,1,'tool_approval_requested',1760000065000000,X'01A222543E607098BDC71A6131CF7375',NULL,NULL,NULL,1,'{"approval_id":"apr_01a222543e607edd8cc9a04d8422e958","tool_name":"rm"}');
INSERT INTO "sessionry_event" VALUES(87,17,6,9,1,'run_waiting',1760000065000000,X'01A222543E607F788F71BCC20AC34EF6',NULL,NULL,NULL,1,'{"approval_id":"apr_01a222543e607edd8cc9a04d8422e958"}');
INSERT INTO "sessionry_event" VALUES(88,17,7,9,2,'worker_lost',1760000066000000,X'01A222543E61770BBE8884FC41C5F828',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"parked"}');
INSERT INTO "sessionry_event" VALUES(89,18,1,NULL,0,'session_created',1760000067000000,X'01A222543E62746C9D3AD9C05C998496',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(90,18,2,NULL,0,'session_started',1760000068000000,X'01A222543E637F97B974726D5C209DB9',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(91,18,3,10,0,'run_queued',1760000068000000,X'01A222543E637608B38F02BE233752BE',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}');
INSERT INTO "sessionry_event" VALUES(92,18,4,10,1,'run_started',1760000069000000,X'01A222543E647C62BF362FB2F238EFEF',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}');
INSERT INTO "sessionry_event" VALUES(93,18,5,10,1,'message_received',1760000070000000,X'0199C82DD1707934AD30C1E07AA613EF',NULL,NULL,NULL,1,'{"text":"at work"}');
INSERT INTO "sessionry_event" VALUES(94,18,6,10,0,'input_received',1760000071000000,X'01A222543E677D678C072FE8EB885D5D',NULL,NULL,NULL,1,'{"text":"hurry"}');
INSERT INTO "sessionry_event" VALUES(95,18,7,10,0,'run_cancel_requested',1760000072000000,X'01A222543E687B2FA044BAA33738EDAF',NULL,NULL,NULL,1,'{"reason":"slow"}');
INSERT INTO "sessionry_event" VALUES(96,19,1,NULL,0,'session_created',1760000073000000,X'01A222543E697DDDB4615D266CAD5540',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(97,19,2,NULL,0,'session_started',1760000074000000,X'01A222543E6A7BE999551EB66A6F6C2F',NULL,NULL,NULL,1,'{}');
INSERT INTO "sessionry_event" VALUES(98,19,3,11,0,'run_queued',1760000074000000,X'01A222543E6A7654BBC810CA5B4982AE',NULL,NULL,NULL,1,'{"agent_id":"echo","input":{"prompt":"first"},"metadata":{"m":1},"options":{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]},"priority":1}');
INSERT INTO "sessionry_event" VALUES(99,19,4,12,0,'run_queued',1760000075000000,X'01A222543E6B71B1816F8088E78B6BEF',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"second","options":{}}');
INSERT INTO "sessionry_event" VALUES(100,20,1,NULL,0,'session_created',1760000076000000,X'01A222543E6C71C18116EA96F8A91B1D',NULL,NULL,NULL,1,'{"agent_id":"echo"}');
INSERT INTO "sessionry_event" VALUES(101,20,2,NULL,0,'session_updated',1760000078000000,X'01A222543E6E7330BD2FF7FF72AA18F0',NULL,NULL,NULL,1,'{"title":"Once"}');
CREATE TABLE sessionry_idempotency (
    tenant text not null,
    owner text not null, -- '' for those of the whole tenant
    key text not null,
    digest text not null,
    result text not null,
    created_at integer not null,
    primary key (tenant, owner, key)
) without rowid;
INSERT INTO "sessionry_idempotency" VALUES('local','','key-1','a946d6a8bde0b0baa577c95ed269435671fb8f5e9358a511402c86ed13cb3d35','{"session":"ses_01a222543e6c707baa05ad313cd2ff1a","run":null,"approval":null,"seqs":[2]}',1760000077000000);
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
INSERT INTO "sessionry_run" VALUES(1,'run_01a222543e2971e79cf822867233dc92',9,3,17,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"],"native_session_id":"n-1","model":"m-1"}',NULL,'{"input_tokens":10,"output_tokens":2}','0.0123',1,1760000023000000,1760000027000000,1760000024000000,1760000027000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(2,'run_01a222543e3371d59a3de212c65a95cc',10,3,5,'failed','echo',0,0,NULL,1,1,1,NULL,'"go"','null','{"code":"agent_failed","message":"boom","retryable":true}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000029000000,1760000031000000,1760000030000000,1760000031000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(3,'run_01a222543e387c7d964a030b08f6a81b',11,3,5,'cancelled','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000033000000,1760000035000000,1760000034000000,1760000035000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(4,'run_01a222543e3d7f0683bf968b4d81f9d1',12,3,5,'timeout','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000037000000,1760000039000000,1760000038000000,1760000039000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(5,'run_01a222543e4273f7b5bf81a801281453',13,3,6,'failed','echo',0,0,NULL,1,2,1,NULL,'"go"','null','{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000041000000,1760000043000001,1760000042000000,1760000043000001,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(6,'run_01a222543e4773fdb6d2ff6986cee623',14,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000045000000,1760000050000000,1760000046000000,1760000050000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(7,'run_01a222543e50773bb025feb048af330a',15,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000052000000,1760000057000000,1760000053000000,1760000057000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(8,'run_01a222543e5878cf96d20ba1cc95a359',16,3,NULL,'waiting','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000059000000,1760000061000000,1760000060000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(9,'run_01a222543e5d7643886b210f0f873665',17,3,NULL,'waiting','echo',0,0,1,1,2,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000063000000,1760000066000000,1760000064000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(10,'run_01a222543e637435b137bc5cba765097',18,3,NULL,'running','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}','{"reason":"slow"}','{}',NULL,0,1760000068000000,1760000072000000,1760000069000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(11,'run_01a222543e6a7e47b2aeb66ea097022a',19,3,NULL,'pending','echo',1,1,NULL,0,0,0,NULL,'{"prompt":"first"}','null',NULL,'{"m":1}','{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]}',NULL,NULL,'{}',NULL,0,1760000074000000,1760000074000000,NULL,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(12,'run_01a222543e6b7add9151111b2a178497',19,4,NULL,'pending','echo',0,0,NULL,0,0,0,NULL,'"second"','null',NULL,'{}','{}',NULL,NULL,'{}',NULL,0,1760000075000000,1760000075000000,NULL,NULL,NULL,0,'default');
CREATE TABLE sessionry_schema (version bigint primary key, name text not null, applied_at bigint not null);
INSERT INTO "sessionry_schema" VALUES(1,'initial',1795872275979456);
INSERT INTO "sessionry_schema" VALUES(2,'tokens',1795872275979737);
INSERT INTO "sessionry_schema" VALUES(3,'queues',1795872275980677);
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
INSERT INTO "sessionry_session" VALUES(1,'ses_01a222543e1177efbebbe08d80826e7a','local','ann','echo','pending',NULL,NULL,'Changed','changed','/tmp','{"n":[1,null,{"x":2.5}]}','{}','["b c","d"]',1,100,0,1760000003000000,1760000005000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(2,'ses_01a222543e147f50914e394082e6b613','local','ann','echo','pending',1,'ses_01a222543e1177efbebbe08d80826e7a',NULL,NULL,NULL,'{}','{"system":"be brief"}','[]',2,5,0,1760000004000000,1760000004000000,NULL,1);
INSERT INTO "sessionry_session" VALUES(3,'ses_01a222543e17788aa14ebe7ff3873d1e','local',NULL,'echo','paused',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000006000000,1760000008000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(4,'ses_01a222543e1a75028040d67d7b3d12ad','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000009000000,1760000012000000,NULL,4);
INSERT INTO "sessionry_session" VALUES(5,'ses_01a222543e1e7024b3a340ab427af9b5','local',NULL,'echo','completed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000013000000,1760000015000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(6,'ses_01a222543e2175fc80c43c49771ce18a','local',NULL,'echo','cancelled',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000016000000,1760000017000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(7,'ses_01a222543e2372758b24751f7e05ae50','local',NULL,'echo','failed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000018000000,1760000019000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(8,'ses_01a222543e257657b272f2d5c2961fef','local',NULL,'echo','pending',NULL,NULL,'Gone','gone',NULL,'{}','{}','[]',1,100,0,1760000020000000,1760000021000000,1760000021000000,2);
INSERT INTO "sessionry_session" VALUES(9,'ses_01a222543e277bf8ab6ddd5f2e2abfa5','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000022000000,1760000027000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(10,'ses_01a222543e327cf89590df0c05be3589','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000028000000,1760000031000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(11,'ses_01a222543e37707fb7200a6487895275','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000032000000,1760000035000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(12,'ses_01a222543e3c74c99f92691914921d19','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000036000000,1760000039000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(13,'ses_01a222543e4176afbc5cabbc68c26e2d','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000040000000,1760000043000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(14,'ses_01a222543e45796da05c39c1e5f9ff73','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000044000000,1760000050000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(15,'ses_01a222543e4e74e7bf5252b5316589a8','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000051000000,1760000057000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(16,'ses_01a222543e577382b1da2cdf66f8ce51','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000058000000,1760000061000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(17,'ses_01a222543e5c7afba24ff51b9dea4d79','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000062000000,1760000065000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(18,'ses_01a222543e6272adaa7e20371bfb544d','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000067000000,1760000069000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(19,'ses_01a222543e697d43b9c06f30e060c319','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000073000000,1760000075000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(20,'ses_01a222543e6c707baa05ad313cd2ff1a','local',NULL,'echo','pending',NULL,NULL,'Once','once',NULL,'{}','{}','[]',1,100,0,1760000076000000,1760000078000000,NULL,2);
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
INSERT INTO "sessionry_token" VALUES(1,'tok_01a222543e1179bba13f3dbff114bf95','f972e05fadbf18239224f231146d2162493089c7850d23b4c6a8fb33ad1d0b19','ci','local','ann','["run"]',1760000002000000,NULL,NULL);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('sessionry_token',1);
INSERT INTO "sqlite_sequence" VALUES('sessionry_session',20);
INSERT INTO "sqlite_sequence" VALUES('sessionry_event',101);
INSERT INTO "sqlite_sequence" VALUES('sessionry_run',12);
INSERT INTO "sqlite_sequence" VALUES('sessionry_approval',4);
COMMIT;
