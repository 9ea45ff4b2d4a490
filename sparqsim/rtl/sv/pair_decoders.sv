// PAIRS outlier-victim pairs of 4-bit codes as PEs see them.
`include "parameters.svh"
module pair_decoders #(parameter PAIRS = 2, SIGNED = 1, STORED = SIGNED ? 8 : 9) (
    input [PAIRS*STORED-1:0] stored,
    output [PAIRS*`PAIR-1:0] pairs
);
    genvar p;
    generate
        for (p = 0; p < PAIRS; p = p + 1) begin : pair
            if (SIGNED) begin : signed_codes
                decode_signed unit(stored[p*STORED+:STORED], pairs[p*`PAIR+:`PAIR]);
            end else begin : unsigned_codes
                decode_unsigned unit(stored[p*STORED+:STORED], pairs[p*`PAIR+:`PAIR]);
            end
        end
    endgenerate
endmodule

// A pair {code2, code1} to {shift, integer2, integer1}: both integers count 2^shift, since beside an outlier stands a 0. A normal code is the
// integer, -7 to 7; 4'b1000 marks a victim. An outlier beside it is {sign, exponent, mantissa} and stands for 1.mantissa * 2^(exponent + 3).
module decode_signed (
    input [7:0] stored,
    output [`PAIR-1:0] pair
);
    wire [3:0] code1 = stored[3:0], code2 = stored[7:4];
    wire victim1 = code1 == 4'b1000, victim2 = code2 == 4'b1000;
    wire outlier = victim1 | victim2;
    wire [3:0] code = victim2 ? code1 : code2;
    wire [3:0] size = {3'b001, code[0]};
    wire [3:0] integer_of = code[3] ? -size : size;
    wire [3:0] integer1 = victim1 ? 4'd0 : victim2 ? integer_of : code1;
    wire [3:0] integer2 = victim2 ? 4'd0 : victim1 ? integer_of : code2;
    wire [2:0] shift = outlier ? code[2:1] + 3'd2 : 3'd0;
    assign pair = {shift, integer2, integer1};
endmodule

// The same of codes without a sign, {outlier, code2, code1}: all sixteen are normal, so a bit of the pair's own says that there is an outlier,
// {exponent, mantissa}, never 0, for 1.mantissa * 2^(exponent + 4). Its victim's code is 0.
module decode_unsigned (
    input [8:0] stored,
    output [`PAIR-1:0] pair
);
    wire outlier = stored[8];
    wire [3:0] code1 = stored[3:0], code2 = stored[7:4];
    wire [3:0] code = code1 | code2;
    wire [3:0] integer_of = {2'b01, code[1:0]};
    wire [3:0] integer1 = ~outlier ? code1 : code1 != 0 ? integer_of : 4'd0;
    wire [3:0] integer2 = ~outlier ? code2 : code1 != 0 ? 4'd0 : integer_of;
    wire [2:0] shift = outlier ? code[3:2] + 3'd2 : 3'd0;
    assign pair = {shift, integer2, integer1};
endmodule
