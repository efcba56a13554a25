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
INSERT INTO "sessionry_approval" VALUES(1,'apr_01a223323cae748eb0f2955dce4ca066',14,6,'k','granted','rm','{"path":"x"}','t','why',1760000048000000,1769000048000000,1760000049000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(2,'apr_01a223323d1570a6a52c490b438acc35',15,7,'k','denied','rm','{"path":"x"}','t','why',1760000055000000,1769000055000000,1760000056000000,'ann','ok');
INSERT INTO "sessionry_approval" VALUES(3,'apr_01a223323e34736fa7292ff0e096f70e',16,8,'open','pending','rm','null',NULL,NULL,1760000062000000,NULL,NULL,NULL,NULL);
INSERT INTO "sessionry_approval" VALUES(4,'apr_01a223323e4974bebe47e65f9808baee',17,9,'open','pending','rm','null',NULL,NULL,1760000066000000,NULL,NULL,NULL,NULL);
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
INSERT INTO "sessionry_deed" VALUES(1,1760000003000000,'local','ann','ann',NULL,'token_created','tok_01a2233239b47a8bac46ddd739fb74cd');
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
INSERT INTO "sessionry_event" VALUES(1,1,1,NULL,0,'session_created',1760000004000000,X'01A2233239B57BC7A7208A95B30FFAE9','ann',NULL,NULL,1,'{"agent_id":"echo","title":"Größe ÄÖÜ ß 🦀","cwd":"/tmp","metadata":{"n":[1,null,{"x":2.5}]},"tags":["a","b c"]}',NULL);
INSERT INTO "sessionry_event" VALUES(2,2,1,NULL,0,'session_created',1760000005000000,X'01A2233239B87AFDBC2F681FF1BC3254','ann',NULL,NULL,1,'{"agent_id":"echo","parent_session_id":"ses_01a2233239b577419e11d4e5b8993cee","context":{"system":"be brief"},"slots":2,"queue_limit":5}',NULL);
INSERT INTO "sessionry_event" VALUES(3,1,2,NULL,0,'session_updated',1760000006000000,X'01A2233239BC7C36A6DAC62CBB79C195',NULL,NULL,NULL,1,'{"title":"Changed","tags":["b c","d"]}',NULL);
INSERT INTO "sessionry_event" VALUES(4,3,1,NULL,0,'session_created',1760000007000000,X'01A2233239BF71298EEBF4B43F52A09B',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(5,3,2,NULL,0,'session_started',1760000008000000,X'01A2233239C47EC1BA204BEBEEEBE15E',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(6,3,3,NULL,0,'session_paused',1760000009000000,X'01A2233239C97D87BFE300ED2AB97A28',NULL,NULL,NULL,1,'{"reason":"lunch"}',NULL);
INSERT INTO "sessionry_event" VALUES(7,4,1,NULL,0,'session_created',1760000010000000,X'01A2233239CE7A4CB344E1DE4FD1470A',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(8,4,2,NULL,0,'session_started',1760000011000000,X'01A2233239CF7175B01E890809DA0569',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(9,4,3,NULL,0,'session_paused',1760000012000000,X'01A2233239F776AC829BC44DD062919F',NULL,NULL,NULL,1,'{"reason":"lunch"}',NULL);
INSERT INTO "sessionry_event" VALUES(10,4,4,NULL,0,'session_resumed',1760000013000000,X'01A223323B3272A8B6525E95BBAC14AF',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(11,5,1,NULL,0,'session_created',1760000014000000,X'01A223323B3673FB971455CCDFDC9863',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(12,5,2,NULL,0,'session_started',1760000015000000,X'01A223323B3C7BF1A48183C55A779E97',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(13,5,3,NULL,0,'session_completed',1760000016000000,X'01A223323B407476B9864732ED65E0F0',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(14,6,1,NULL,0,'session_created',1760000017000000,X'01A223323B4677B08F1253796458284C',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(15,6,2,NULL,0,'session_cancelled',1760000018000000,X'01A223323B527510B5D234FADDEEA62B',NULL,NULL,NULL,1,'{"reason":"no"}',NULL);
INSERT INTO "sessionry_event" VALUES(16,7,1,NULL,0,'session_created',1760000019000000,X'01A223323B5F7C2E9638953BE0E2354B',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(17,7,2,NULL,0,'session_failed',1760000020000000,X'01A223323B667C95A036DBEA219E4AD1',NULL,NULL,NULL,1,'{"error":{"code":"internal_error","message":"oh","details":{"k":"v"}}}',NULL);
INSERT INTO "sessionry_event" VALUES(18,8,1,NULL,0,'session_created',1760000021000000,X'01A223323B6B70D498F665CCEACEF190',NULL,NULL,NULL,1,'{"agent_id":"echo","title":"Gone"}',NULL);
INSERT INTO "sessionry_event" VALUES(19,8,2,NULL,0,'session_deleted',1760000022000000,X'01A223323B717FED99008D5EF755C752',NULL,NULL,NULL,1,'{"reason":"test"}',NULL);
INSERT INTO "sessionry_event" VALUES(20,9,1,NULL,0,'session_created',1760000023000000,X'01A223323B9E7019B0400073EBD8F00E',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(21,9,2,NULL,0,'session_started',1760000024000000,X'01A223323BAC7C7699F4FC3CF7540722',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(22,9,3,1,0,'run_queued',1760000024000000,X'01A223323BAC7647A1B5442406ABC288',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(23,9,4,1,1,'run_started',1760000025000000,X'01A223323BB7765CBB599D19BB99EF32',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(24,9,5,1,1,'message_streamed',1760000026000000,X'0199C82D2590709B9F9571C03281D160',NULL,NULL,NULL,1,'{"text":"you "}',NULL);
INSERT INTO "sessionry_event" VALUES(25,9,6,1,1,'message_streamed',1760000026000000,X'0199C82D25907ED7BC5DB40D68C7A5B1',NULL,NULL,NULL,1,'{"text":"said"}',NULL);
INSERT INTO "sessionry_event" VALUES(26,9,7,1,1,'message_received',1760000026000000,X'0199C82D259070FD8DBD80980A608535',NULL,NULL,NULL,1,'{"text":"you said \u0000   hi"}',NULL);
INSERT INTO "sessionry_event" VALUES(27,9,8,1,1,'tool_call_started',1760000026000000,X'0199C82D259070EE9441AB05A0B01E2E',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_input":{"command":"ls"}}',NULL);
INSERT INTO "sessionry_event" VALUES(28,9,9,1,1,'tool_call_completed',1760000026000000,X'0199C82D25907D29A2672DB84A2EB6A9',NULL,NULL,NULL,1,'{"tool_call_id":"t1","tool_name":"bash","tool_output":"README"}',NULL);
INSERT INTO "sessionry_event" VALUES(29,9,10,1,1,'tool_call_started',1760000026000000,X'0199C82D25907A79A8554991D366B696',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash"}',NULL);
INSERT INTO "sessionry_event" VALUES(30,9,11,1,1,'custom_recorded',1760000026000000,X'0199C82D259075519C0DB3DC8F273F99',NULL,NULL,NULL,1,'{"name":"mine","value":{"big":9223372036854775808,"small":-9223372036854775808}}',NULL);
INSERT INTO "sessionry_event" VALUES(31,9,12,1,1,'artifact_added',1760000026000000,X'0199C82D2590764FBA5685539D77B81C',NULL,NULL,NULL,1,'{"hash":"0000000000000000000000000000000000000000000000000000000000000000","size":5,"name":"a.txt","media_type":"text/plain"}',NULL);
INSERT INTO "sessionry_event" VALUES(32,9,13,1,1,'token_usage_updated',1760000027000000,X'01A223323BCF73B09214CF26246B6C99',NULL,NULL,NULL,1,'{"usage":{"input_tokens":10,"output_tokens":2},"cost":"0.0123"}',NULL);
INSERT INTO "sessionry_event" VALUES(33,9,14,1,1,'agent_session_linked',1760000027000000,X'01A223323BCF79308209B73526A7504C',NULL,NULL,NULL,1,'{"native_session_id":"n-1","model":"m-1"}',NULL);
INSERT INTO "sessionry_event" VALUES(34,9,15,1,1,'turn_completed',1760000027000000,X'01A223323BCF70D1BCA6FF5DAEA127D3',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(35,9,16,1,0,'tool_call_interrupted',1760000028000000,X'01A223323BDF7C5E9EC0ABDEB9958905',NULL,NULL,NULL,1,'{"tool_call_id":"t2","tool_name":"bash","reason":"run_completed"}',NULL);
INSERT INTO "sessionry_event" VALUES(36,9,17,1,1,'run_completed',1760000028000000,X'01A223323BDF7104AAE5A2D0C5783894',NULL,NULL,NULL,1,'{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}',NULL);
INSERT INTO "sessionry_event" VALUES(37,10,1,NULL,0,'session_created',1760000029000000,X'01A223323BE7732D950FB896C4EF64C0',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(38,10,2,NULL,0,'session_started',1760000030000000,X'01A223323BEE766B9601E74EAB857285',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(39,10,3,2,0,'run_queued',1760000030000000,X'01A223323BEE768EA7823DE78EED0CD7',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(40,10,4,2,1,'run_started',1760000031000000,X'01A223323BFE7040895A9AE8CAD25C6E',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(41,10,5,2,1,'run_failed',1760000032000000,X'01A223323C0A7269972149CE34EB2A37',NULL,NULL,NULL,1,'{"error":{"code":"agent_failed","message":"boom","retryable":true}}',NULL);
INSERT INTO "sessionry_event" VALUES(42,11,1,NULL,0,'session_created',1760000033000000,X'01A223323C107B7FBE9AA38D22CAB3D5',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(43,11,2,NULL,0,'session_started',1760000034000000,X'01A223323C1A74FD95E59F13AE9C7D35',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(44,11,3,3,0,'run_queued',1760000034000000,X'01A223323C1A7D37BBFE00C43E868D96',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(45,11,4,3,1,'run_started',1760000035000000,X'01A223323C267B6683F86DD7C1D4BD8E',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(46,11,5,3,1,'run_cancelled',1760000036000000,X'01A223323C2E7584A947AEC303CDFB58',NULL,NULL,NULL,1,'{"reason":"stop"}',NULL);
INSERT INTO "sessionry_event" VALUES(47,12,1,NULL,0,'session_created',1760000037000000,X'01A223323C3A7D9F8AAA6D92476C56D3',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(48,12,2,NULL,0,'session_started',1760000038000000,X'01A223323C43700294147D8C1D90DEA1',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(49,12,3,4,0,'run_queued',1760000038000000,X'01A223323C437A21BABABF86070DD819',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(50,12,4,4,1,'run_started',1760000039000000,X'01A223323C4A7169BA95E8FB71EEFFC6',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(51,12,5,4,1,'run_timeout',1760000040000000,X'01A223323C5670CCAD1FEA45A8DA0EBE',NULL,NULL,NULL,1,'{"limit":"timeout","seconds":5.0}',NULL);
INSERT INTO "sessionry_event" VALUES(52,13,1,NULL,0,'session_created',1760000041000000,X'01A223323C5B75C09AFFA6BCA5B1CC5D',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(53,13,2,NULL,0,'session_started',1760000042000000,X'01A223323C6A743F88469C65A8E17041',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(54,13,3,5,0,'run_queued',1760000042000000,X'01A223323C6A7A01A206595872AE1D62',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(55,13,4,5,1,'run_started',1760000043000000,X'01A223323C7575FF88D669C41914B5C8',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(56,13,5,5,2,'worker_lost',1760000044000000,X'01A223323C817DDF8928D6ED6644B81F',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"stopped"}',NULL);
INSERT INTO "sessionry_event" VALUES(57,13,6,5,2,'run_failed',1760000044000000,X'01A223323C817591B48DEC373C08A9F5',NULL,NULL,NULL,1,'{"error":{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}}',NULL);
INSERT INTO "sessionry_event" VALUES(58,14,1,NULL,0,'session_created',1760000045000000,X'01A223323C8A7C80ACDF401456D1C518',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(59,14,2,NULL,0,'session_started',1760000046000000,X'01A223323C9A769ABF76270FE076C29B',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(60,14,3,6,0,'run_queued',1760000046000000,X'01A223323C9A7554864C0AD9A229E7DC',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(61,14,4,6,1,'run_started',1760000047000000,X'01A223323CA570498B833E9B20CD4733',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(62,14,5,6,1,'tool_approval_requested',1760000048000000,X'01A223323CAE79D4A73E6628E8C06BE7',NULL,NULL,NULL,1,'{"approval_id":"apr_01a223323cae748eb0f2955dce4ca066","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:08Z"}',NULL);
INSERT INTO "sessionry_event" VALUES(63,14,6,6,1,'run_waiting',1760000048000000,X'01A223323CAF7AA1BA969B0C122D3C70',NULL,NULL,NULL,1,'{"approval_id":"apr_01a223323cae748eb0f2955dce4ca066"}',NULL);
INSERT INTO "sessionry_event" VALUES(64,14,7,6,0,'tool_approval_granted',1760000049000000,X'01A223323CBE7C95AD5FB559B1E94703','ann',NULL,NULL,1,'{"approval_id":"apr_01a223323cae748eb0f2955dce4ca066","tool_name":"rm","by":"ann","note":"ok"}',NULL);
INSERT INTO "sessionry_event" VALUES(65,14,8,6,1,'run_resumed',1760000050000000,X'01A223323CD671088F561D6C0A1E4144',NULL,NULL,NULL,1,'{"approval_id":"apr_01a223323cae748eb0f2955dce4ca066"}',NULL);
INSERT INTO "sessionry_event" VALUES(66,14,9,6,1,'run_completed',1760000051000000,X'01A223323CDC70978E406AC168224D1C',NULL,NULL,NULL,1,'{"text":"done"}',NULL);
INSERT INTO "sessionry_event" VALUES(67,15,1,NULL,0,'session_created',1760000052000000,X'01A223323CEE737ABA4293F365A814A6',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(68,15,2,NULL,0,'session_started',1760000053000000,X'01A223323CF67DE98B07B3D615D058B1',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(69,15,3,7,0,'run_queued',1760000053000000,X'01A223323CF67A7CBC9B4622EF51A9D5',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(70,15,4,7,1,'run_started',1760000054000000,X'01A223323D067329BA9B7DC5CEDDEBC7',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_test","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(71,15,5,7,1,'tool_approval_requested',1760000055000000,X'01A223323D167AB28BEBD737BCA82D8E',NULL,NULL,NULL,1,'{"approval_id":"apr_01a223323d1570a6a52c490b438acc35","tool_name":"rm","tool_input":{"path":"x"},"tool_call_id":"t","reason":"why","expires_at":"2026-01-21T12:54:15Z"}',NULL);
INSERT INTO "sessionry_event" VALUES(72,15,6,7,1,'run_waiting',1760000055000000,X'01A223323D167BCBB4E4791309AECAEA',NULL,NULL,NULL,1,'{"approval_id":"apr_01a223323d1570a6a52c490b438acc35"}',NULL);
INSERT INTO "sessionry_event" VALUES(73,15,7,7,0,'tool_approval_denied',1760000056000000,X'01A223323D26748BBA74D05582DA86DB','ann',NULL,NULL,1,'{"approval_id":"apr_01a223323d1570a6a52c490b438acc35","tool_name":"rm","by":"ann","note":"ok"}',NULL);
INSERT INTO "sessionry_event" VALUES(74,15,8,7,1,'run_resumed',1760000057000000,X'01A223323D3378FE9DDCD221C9D4452E',NULL,NULL,NULL,1,'{"approval_id":"apr_01a223323d1570a6a52c490b438acc35"}',NULL);
INSERT INTO "sessionry_event" VALUES(75,15,9,7,1,'run_completed',1760000058000000,X'01A223323D36731C9FE60543725028FE',NULL,NULL,NULL,1,'{"text":"done"}',NULL);
INSERT INTO "sessionry_event" VALUES(76,16,1,NULL,0,'session_created',1760000059000000,X'01A223323D3A7BCF9699042C68E5DFC4',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(77,16,2,NULL,0,'session_started',1760000060000000,X'01A223323D427CAFB42A8AFD674F099A',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(78,16,3,8,0,'run_queued',1760000060000000,X'01A223323D4270D2B8A27AC1990368DE',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(79,16,4,8,1,'run_started',1760000061000000,X'01A223323D4A781E81E2EC973E2B0765',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(80,16,5,8,1,'tool_approval_requested',1760000062000000,X'01A223323E347DD0A7B0CB090FE9B24C',NULL,NULL,NULL,1,'{"approval_id":"apr_01a223323e34736fa7292ff0e096f70e","tool_name":"rm"}',NULL);
INSERT INTO "sessionry_event" VALUES(81,16,6,8,1,'run_waiting',1760000062000000,X'01A223323E34722E886A17AB9C61880B',NULL,NULL,NULL,1,'{"approval_id":"apr_01a223323e34736fa7292ff0e096f70e"}',NULL);
INSERT INTO "sessionry_event" VALUES(82,17,1,NULL,0,'session_created',1760000063000000,X'01A223323E3877AFAB27968CDECFE285',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(83,17,2,NULL,0,'session_started',1760000064000000,X'01A223323E4377B89A0897376BCBA3CD',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(84,17,3,9,0,'run_queued',1760000064000000,X'01A223323E437190B91694FDB14EBBE8',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(85,17,4,9,1,'run_started',1760000065000000,X'01A223323E4577BEA6883EDBAB724486',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_lost","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(86,17,5,9,1,'tool_approval_requested',1760000066000000,X'01A223323E49782E9E20619F2C17302E',NULL,NULL,NULL,1,'{"approval_id":"apr_01a223323e4974bebe47e65f9808baee","tool_name":"rm"}',NULL);
INSERT INTO "sessionry_event" VALUES(87,17,6,9,1,'run_waiting',1760000066000000,X'01A223323E4973F7A5FCFB7D0B8D1855',NULL,NULL,NULL,1,'{"approval_id":"apr_01a223323e4974bebe47e65f9808baee"}',NULL);
INSERT INTO "sessionry_event" VALUES(88,17,7,9,2,'worker_lost',1760000067000000,X'01A223323E53731F9B951797EDCE3901',NULL,NULL,NULL,1,'{"worker_id":"wrk_lost","action":"parked"}',NULL);
INSERT INTO "sessionry_event" VALUES(89,18,1,NULL,0,'session_created',1760000068000000,X'01A223323E93790FB6400AB3DC01B7BF',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(90,18,2,NULL,0,'session_started',1760000069000000,X'01A223323E9C72378FFFB0987BFB0216',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(91,18,3,10,0,'run_queued',1760000069000000,X'01A223323E9C7AE5B2DEF9CF9A8CE8E0',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"go","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(92,18,4,10,1,'run_started',1760000070000000,X'01A223323E9F7F0FBB97E8251367AC1D',NULL,NULL,NULL,1,'{"attempt":1,"worker_id":"wrk_sample","agent":{"type":"function","capabilities":["steer"]}}',NULL);
INSERT INTO "sessionry_event" VALUES(93,18,5,10,1,'message_received',1760000071000000,X'0199C82DD5587093A562FA3405D5BDAA',NULL,NULL,NULL,1,'{"text":"at work"}',NULL);
INSERT INTO "sessionry_event" VALUES(94,18,6,10,0,'input_received',1760000072000000,X'01A223323EAA7CA38068520AA4FC8CCC',NULL,NULL,NULL,1,'{"text":"hurry"}',NULL);
INSERT INTO "sessionry_event" VALUES(95,18,7,10,0,'run_cancel_requested',1760000073000000,X'01A223323EB17BE7833EC39DC5D5AA2A',NULL,NULL,NULL,1,'{"reason":"slow"}',NULL);
INSERT INTO "sessionry_event" VALUES(96,19,1,NULL,0,'session_created',1760000074000000,X'01A223323EBF7826A13847F09E174088',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(97,19,2,NULL,0,'session_started',1760000075000000,X'01A223323ECA7BA6A8A052EAD519B269',NULL,NULL,NULL,1,'{}',NULL);
INSERT INTO "sessionry_event" VALUES(98,19,3,11,0,'run_queued',1760000075000000,X'01A223323ECA72079F8BD47F44B39435',NULL,NULL,NULL,1,'{"agent_id":"echo","input":{"prompt":"first"},"metadata":{"m":1},"options":{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]},"priority":1}',NULL);
INSERT INTO "sessionry_event" VALUES(99,19,4,12,0,'run_queued',1760000076000000,X'01A223323F1A7B54A2709A1E3C0D915F',NULL,NULL,NULL,1,'{"agent_id":"echo","input":"second","options":{}}',NULL);
INSERT INTO "sessionry_event" VALUES(100,20,1,NULL,0,'session_created',1760000077000000,X'01A223323F327FD9900E2BF807E1A27C',NULL,NULL,NULL,1,'{"agent_id":"echo"}',NULL);
INSERT INTO "sessionry_event" VALUES(101,20,2,NULL,0,'session_updated',1760000079000000,X'01A223323F33753DB8DA8AEF0F69CFA5',NULL,NULL,NULL,1,'{"title":"Once"}',NULL);
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
INSERT INTO "sessionry_idempotency" VALUES('local','','key-1','4177e9e568d8d9b7dca799e6669e72f3fca9a6a62a72995b06f6cd61de59e4ba','{"session":"ses_01a223323f32763fb976cdb6aecf880e","run":null,"approval":null,"seqs":[2]}',1760000078000000);
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
INSERT INTO "sessionry_run" VALUES(1,'run_01a223323bac749d9f30e9e07d05c5c6',9,3,17,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done","output":{"answer":42},"stop_reason":"end_turn"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"],"native_session_id":"n-1","model":"m-1"}',NULL,'{"input_tokens":10,"output_tokens":2}','0.0123',1,1760000024000000,1760000028000000,1760000025000000,1760000028000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(2,'run_01a223323bee7cd08d72d39bc817ac04',10,3,5,'failed','echo',0,0,NULL,1,1,1,NULL,'"go"','null','{"code":"agent_failed","message":"boom","retryable":true}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000030000000,1760000032000000,1760000031000000,1760000032000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(3,'run_01a223323c1a7cc3a8ef5b61ba1c4289',11,3,5,'cancelled','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000034000000,1760000036000000,1760000035000000,1760000036000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(4,'run_01a223323c437965b3fe148b78c43a10',12,3,5,'timeout','echo',0,0,NULL,1,1,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000038000000,1760000040000000,1760000039000000,1760000040000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(5,'run_01a223323c6a741dbc8d0ae30110ea9a',13,3,6,'failed','echo',0,0,NULL,1,2,1,NULL,'"go"','null','{"code":"worker_lost","message":"the worker of attempt 1 was lost and the run is not to be started again; submit it anew","retryable":true,"details":{"attempt":1,"worker_id":"wrk_lost","max_attempts":3}}','{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000042000000,1760000044000001,1760000043000000,1760000044000001,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(6,'run_01a223323c9a796380f8fa686d0f6cc8',14,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000046000000,1760000051000000,1760000047000000,1760000051000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(7,'run_01a223323cf67b748ed67c86d7070877',15,3,9,'completed','echo',0,0,NULL,1,1,1,NULL,'"go"','{"text":"done"}',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000053000000,1760000058000000,1760000054000000,1760000058000000,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(8,'run_01a223323d4278389a27c59fd2ccd8f0',16,3,NULL,'waiting','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000060000000,1760000062000000,1760000061000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(9,'run_01a223323e437a1aae82cf0a26d01502',17,3,NULL,'waiting','echo',0,0,1,1,2,1,NULL,'"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}',NULL,'{}',NULL,0,1760000064000000,1760000067000000,1760000065000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(10,'run_01a223323e9c7ea7a5eaec5182c248f7',18,3,NULL,'running','echo',0,0,1,1,1,1,'wrk_sample','"go"','null',NULL,'{}','{}','{"type":"function","capabilities":["steer"]}','{"reason":"slow"}','{}',NULL,0,1760000069000000,1760000073000000,1760000070000000,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(11,'run_01a223323eca7fd7b064e1db38692d40',19,3,NULL,'pending','echo',1,1,NULL,0,0,0,NULL,'{"prompt":"first"}','null',NULL,'{"m":1}','{"timeout":60.0,"takeover":"restart","max_attempts":2,"required_capabilities":["tools"]}',NULL,NULL,'{}',NULL,0,1760000075000000,1760000075000000,NULL,NULL,NULL,0,'default');
INSERT INTO "sessionry_run" VALUES(12,'run_01a223323f1a72c99a28e5477a48ac88',19,4,NULL,'pending','echo',0,0,NULL,0,0,0,NULL,'"second"','null',NULL,'{}','{}',NULL,NULL,'{}',NULL,0,1760000076000000,1760000076000000,NULL,NULL,NULL,0,'default');
CREATE TABLE sessionry_schema (version bigint primary key, name text not null, applied_at bigint not null);
INSERT INTO "sessionry_schema" VALUES(1,'initial',1795886823739206);
INSERT INTO "sessionry_schema" VALUES(2,'tokens',1795886823739359);
INSERT INTO "sessionry_schema" VALUES(3,'queues',1795886823739835);
INSERT INTO "sessionry_schema" VALUES(4,'usage',1795886823740000);
INSERT INTO "sessionry_schema" VALUES(5,'webhooks_and_deeds',1795886823740753);
INSERT INTO "sessionry_schema" VALUES(6,'behind',1795886823740810);
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
INSERT INTO "sessionry_session" VALUES(1,'ses_01a2233239b577419e11d4e5b8993cee','local','ann','echo','pending',NULL,NULL,'Changed','changed','/tmp','{"n":[1,null,{"x":2.5}]}','{}','["b c","d"]',1,100,0,1760000004000000,1760000006000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(2,'ses_01a2233239b87166844e18335455a4d9','local','ann','echo','pending',1,'ses_01a2233239b577419e11d4e5b8993cee',NULL,NULL,NULL,'{}','{"system":"be brief"}','[]',2,5,0,1760000005000000,1760000005000000,NULL,1);
INSERT INTO "sessionry_session" VALUES(3,'ses_01a2233239bf72b08cb7658af04eda44','local',NULL,'echo','paused',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000007000000,1760000009000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(4,'ses_01a2233239cd758e94b923f617c4e34a','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000010000000,1760000013000000,NULL,4);
INSERT INTO "sessionry_session" VALUES(5,'ses_01a223323b367b54a31471a408333113','local',NULL,'echo','completed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000014000000,1760000016000000,NULL,3);
INSERT INTO "sessionry_session" VALUES(6,'ses_01a223323b46786bbf0d7744a16ebcec','local',NULL,'echo','cancelled',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000017000000,1760000018000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(7,'ses_01a223323b5f70cc907923aa198799cd','local',NULL,'echo','failed',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000019000000,1760000020000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(8,'ses_01a223323b6a7935acf2e71e3738d815','local',NULL,'echo','pending',NULL,NULL,'Gone','gone',NULL,'{}','{}','[]',1,100,0,1760000021000000,1760000022000000,1760000022000000,2);
INSERT INTO "sessionry_session" VALUES(9,'ses_01a223323b9e764985ca40b8dd097a3a','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000023000000,1760000028000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(10,'ses_01a223323be77eaf80f35c189e9383a6','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000029000000,1760000032000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(11,'ses_01a223323c107528ba785c4801baba8b','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000033000000,1760000036000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(12,'ses_01a223323c3a7d1eac0b8ba11654658a','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000037000000,1760000040000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(13,'ses_01a223323c5b7c0986ce858f8a00315e','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000041000000,1760000044000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(14,'ses_01a223323c8a7e8797b84e30683c6253','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000045000000,1760000051000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(15,'ses_01a223323cee7b489be5f44d613ba9d6','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000052000000,1760000058000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(16,'ses_01a223323d3a7f7a8aac5b03df263876','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000059000000,1760000062000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(17,'ses_01a223323e38711fa15b409a84eb080b','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,2,1760000063000000,1760000066000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(18,'ses_01a223323e917e1cad85493a8a11d273','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,1,1760000068000000,1760000070000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(19,'ses_01a223323ebe7e59af6200c56dbcea62','local',NULL,'echo','active',NULL,NULL,NULL,NULL,NULL,'{}','{}','[]',1,100,0,1760000074000000,1760000076000000,NULL,2);
INSERT INTO "sessionry_session" VALUES(20,'ses_01a223323f32763fb976cdb6aecf880e','local',NULL,'echo','pending',NULL,NULL,'Once','once',NULL,'{}','{}','[]',1,100,0,1760000077000000,1760000079000000,NULL,2);
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
INSERT INTO "sessionry_token" VALUES(1,'tok_01a2233239b47a8bac46ddd739fb74cd','f972e05fadbf18239224f231146d2162493089c7850d23b4c6a8fb33ad1d0b19','ci','local','ann','["run"]',1760000002000000,NULL,NULL);
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
CREATE INDEX sessionry_run_behind on sessionry_run (ready, status, session) where status = 'pending' and ready = 0;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('sessionry_token',1);
INSERT INTO "sqlite_sequence" VALUES('sessionry_deed',1);
INSERT INTO "sqlite_sequence" VALUES('sessionry_session',20);
INSERT INTO "sqlite_sequence" VALUES('sessionry_event',101);
INSERT INTO "sqlite_sequence" VALUES('sessionry_run',12);
INSERT INTO "sqlite_sequence" VALUES('sessionry_approval',4);
COMMIT;
